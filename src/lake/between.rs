//! A stretch of a listing: what lies between two keys, and nothing behind it.

use super::{LIST_PAGE, Lake, LakeError, Object};

/// The objects below `prefix` whose keys are greater than `from` and less than `until`, in byte order.
pub async fn list_between(
    lake: &dyn Lake,
    prefix: &str,
    from: &str,
    until: &str,
) -> Result<Vec<Object>, LakeError> {
    let mut objects: Vec<Object> = Vec::new();
    loop {
        let after = objects.last().map_or_else(|| from.to_owned(), |object| object.key.clone());
        let page = lake.list(prefix, Some(&after)).await?;
        let is_last =
            page.len() < LIST_PAGE || page.last().is_some_and(|object| object.key.as_str() >= until);
        objects.extend(page.into_iter().take_while(|object| object.key.as_str() < until));
        if is_last {
            return Ok(objects);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::lake::disk::DiskLake;

    use super::*;

    #[tokio::test]
    async fn only_what_lies_between_is_listed() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        for key in ["x/1/a", "x/2/a", "x/2/b", "x/3/a", "y/2/a"] {
            lake.put_new(key, Bytes::from_static(b"-")).await.expect("put");
        }

        let found = list_between(&lake, "x/", "x/2/", "x/3/").await.expect("listed");

        let keys: Vec<&str> = found.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["x/2/a", "x/2/b"]);
    }
}
