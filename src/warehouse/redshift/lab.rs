//! Redshift's statements as PostgreSQL 15 takes them, so that what the two share can be run: the merge, the marts, the
//! audits and MERGE itself. What it leaves out, nothing here has run: how rows are spread and sorted, COPY's own reading
//! of text, isolation, and Redshift's planner.

/// Made once in a database that stands in for Redshift.
pub(super) const FUNCTIONS: &str = "
create or replace function strtol(digits text, base integer) returns bigint language sql immutable strict
  as $$ select ('x' || lpad(digits, 16, '0'))::bit(64)::bigint $$;
create or replace function datediff_microsecond(earlier timestamp, later timestamp) returns bigint language sql immutable strict
  as $$ select cast(extract(epoch from later) * 1000000 as bigint) - cast(extract(epoch from earlier) * 1000000 as bigint) $$;
";

/// What a COPY is in a lab: the stage table, and the manifest that names its objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy<'a> {
    pub(super) table: &'a str,
    pub(super) manifest: &'a str,
}

/// Reads a COPY of ours.
pub(super) fn copy(sql: &str) -> Option<Copy<'_>> {
    let (table, rest) = sql.strip_prefix("copy ")?.split_once("\nfrom '")?;
    let (manifest, _) = rest.split_once('\'')?;
    Some(Copy { table, manifest })
}

/// The statement in its place, to which the objects' own bytes are sent, unpacked and one behind the other.
pub(super) fn copy_from_stdin(table: &str) -> String {
    format!("copy {table} from stdin with (format text, delimiter E'\\t', null '{}')", super::copy::NULL)
}

/// Any other statement.
pub(super) fn translate(sql: &str) -> String {
    // A collation can be said of a column, not in a cast.
    let sql = sql
        .replace("as varchar(65535))", "as text)")
        .replace("varchar(65535)", "text collate \"C\"")
        .replace("cast(sysdate as timestamptz)", "now()")
        .replace("datediff(microsecond, ", "datediff_microsecond(")
        .replace("vacuum delete only ", "vacuum ");
    if let Some(setting) = sql.strip_prefix("set ") {
        return if setting.starts_with("query_group") { "select 1".to_owned() } else { sql };
    }
    if !sql.starts_with("create table ") {
        return sql;
    }
    // Behind the columns: how rows are spread and sorted.
    match sql.rfind("\n)\n") {
        Some(end) => sql[..end + 2].to_owned(),
        None => sql,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_rows_lie_is_left_out() {
        let sql = "create table x (\n  a varchar(65535) not null\n)\ndistkey (a) sortkey (a)";

        assert_eq!(translate(sql), "create table x (\n  a text collate \"C\" not null\n)");
    }

    #[test]
    fn casts_have_no_collation() {
        assert_eq!(translate("select cast(null as varchar(65535)) as a"), "select cast(null as text) as a");
        assert_eq!(translate("select cast(sysdate as timestamptz)"), "select now()");
    }

    #[test]
    fn a_copy_names_its_table_and_its_manifest() {
        let sql = "copy stage_file\nfrom 's3://bucket/x.manifest'\niam_role 'r'\nmanifest gzip";

        assert_eq!(copy(sql), Some(Copy { table: "stage_file", manifest: "s3://bucket/x.manifest" }));
    }
}
