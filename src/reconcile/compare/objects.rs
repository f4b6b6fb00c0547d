//! The objects of a minute by themselves: are they there, are they what they were, are they loaded?

use crate::reconcile::evidence::{Contents, Object, State};
use crate::reconcile::report::Kind;

use super::{BRING_BACK, Judge};

/// What brings an object back into the tables, once it can be read again.
const LOAD_AGAIN: &str = "if the loader has rejected it, delete its row from raw.loaded_file and that of line 0 from \
                          raw.rejected_row, and load again";

impl Judge<'_> {
    /// Are the objects there, whole, and loaded?
    pub(super) fn objects(&mut self) {
        let evidence = self.evidence;
        for object in evidence.objects.iter().chain(&evidence.elsewhere) {
            let file = &object.file;
            match &object.state {
                State::Gone => {
                    let rows = evidence.rows.iter().filter(|row| row.file == *file);
                    let ids: Vec<String> = rows.map(|row| row.key.clone()).collect();
                    let text = match object.ledger {
                        Some(ledger) => format!(
                            "{file} with {} lines was loaded and is gone from the lake: the rows are there, what they were \
                             made of is not; {BRING_BACK}",
                            ledger.lines
                        ),
                        None => format!(
                            "{file} is named by a manifest, was never loaded, and is gone from the lake: {BRING_BACK}"
                        ),
                    };
                    let is_nameless = ids.is_empty();
                    let difference = self.differs(Kind::ObjectMissing, ids, text);
                    if is_nameless {
                        // Nobody knows its keys any more, but it has a name.
                        difference.ids = vec![file.clone()];
                        difference.count = 1;
                    }
                }
                State::Damaged(error) => {
                    let text = format!("{file} {error}: {BRING_BACK}; {LOAD_AGAIN}");
                    self.differs(Kind::ObjectChanged, vec![file.clone()], text);
                }
                State::Read(contents) => self.contents(object, contents),
            }
        }
    }

    fn contents(&mut self, object: &Object, contents: &Contents) {
        let file = &object.file;
        let unread = contents.unread.iter().filter(|line| !self.is_rejected(file, **line));
        let ids: Vec<String> = unread.map(|line| format!("{file}:{line}")).collect();
        if !ids.is_empty() && object.ledger.is_some_and(|ledger| ledger.is_loaded) {
            let text = format!(
                "these lines were loaded and cannot be read now: somebody changed the object; {BRING_BACK}; {LOAD_AGAIN}"
            );
            self.differs(Kind::ObjectChanged, ids, text);
        }
        let others: Vec<String> = contents.others.iter().map(|line| format!("{file}:{line}")).collect();
        if !others.is_empty() {
            let text = format!(
                "these lines, which nobody erased, are not as they were written: somebody changed them; {BRING_BACK}"
            );
            self.differs(Kind::ObjectChanged, others, text);
        }
        if contents.is_other {
            let text =
                format!("the bytes of {file} are not those that its name was made of: somebody changed it");
            self.differs(Kind::ObjectChanged, vec![file.clone()], text);
        }
        let lines = (contents.lines.len() + contents.unread.len()) as u64;
        match object.ledger {
            Some(ledger) if ledger.is_loaded && ledger.lines != lines => {
                let text = format!("{file} had {} lines when it was loaded, and has {lines}", ledger.lines);
                self.differs(Kind::ObjectChanged, vec![file.clone()], text);
            }
            Some(ledger) if !ledger.is_loaded => {
                let ids = contents.lines.values().map(|line| line.key.clone()).collect();
                let text = format!(
                    "{file} could not be read and was rejected as a whole; now it can be read, and no loader looks at it \
                     again: delete its row from raw.loaded_file and that of line 0 from raw.rejected_row, and load again"
                );
                self.differs(Kind::NotLoaded, ids, text);
            }
            Some(_) => {}
            None => {
                let age = object.landed_at.map(|at| self.evidence.now.duration_since(at));
                let is_young = age.is_some_and(|age| age < self.evidence.load_grace);
                let ids = contents.lines.values().map(|line| line.key.clone()).collect();
                let text = if is_young {
                    format!("{file} has just landed and is not loaded yet")
                } else {
                    format!("{file} is not loaded: does the loader run? `waybill load --once` loads it")
                };
                self.differs(Kind::NotLoaded, ids, text).is_explained = is_young;
            }
        }
    }
}
