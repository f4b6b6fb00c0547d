-- Excerpts of lines that could not be read may quote anybody.
update raw.rejected_row as r
set text = null
where r.text is not null
  and exists (select 1 from stage_word as w where strpos(lower(r.text), w.word) > 0);
