-- Files of which more than one generation is loaded: all but the last must be superseded.
select file
from {{ source('raw', 'loaded_file') }}
where status = 'loaded'
group by file
having count(*) > 1
