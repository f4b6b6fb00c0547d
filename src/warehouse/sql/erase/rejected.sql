-- Excerpts of lines that could not be read may quote anybody.

create temp table text_erased as
select distinct r.text
from raw.rejected_row as r
join stage_word as w on strpos(lower(r.text), w.word) > 0;

update raw.rejected_row
set text = null
where text in (select text from text_erased);
