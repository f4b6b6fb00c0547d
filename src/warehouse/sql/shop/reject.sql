-- The lines that were kept out, with their bytes, and what is odd about the others.

insert into raw.rejected_row (
  file, generation, line, reason, text, dataset, rejected_at, byte_offset, column_name, detail, raw_base64, status
)
select s.file, s.generation, r.line, r.reason, r.text, s.dataset, {now}, r.byte_offset, r.column_name, r.detail,
  r.raw_base64, 'open'
from stage_shop_reject as r
cross join stage_shop_file as s;

insert into raw.finding (file, generation, dataset, rule, severity, column_name, occurrences, first_line, examples, found_at)
select s.file, s.generation, s.dataset, f.rule, f.severity, f.column_name, f.occurrences, f.first_line, f.examples, {now}
from stage_finding as f
cross join stage_shop_file as s;

-- Of who is erased no line is kept, whatever is wrong with it.
update raw.rejected_row set text = null, raw_base64 = null, detail = null
where dataset = 'customers' and file in (select source_file from stage_shop_file)
  and replace(split_part(text, ',', 1), '"', '') in (select cast(customer_id as {string}) from raw.erased_customer);
