//! The format of a database file: creating it, bringing an older one up to date, refusing a newer one.
//!
//! A new format is one more SQL file and one more entry in the steps of its [`Format`]; files that were released
//! never change.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Result, StoreError};

/// The formats of one kind of file.
pub(crate) struct Format {
    /// What the file is, for messages: `workspace`.
    pub(crate) name: &'static str,
    /// Marks a file as ours in `PRAGMA application_id`.
    pub(crate) mark: i64,
    /// SQL that leads from format `index` to format `index + 1`.
    pub(crate) steps: &'static [&'static str],
}

impl Format {
    /// The newest format this release knows, kept in `PRAGMA user_version`.
    pub(crate) const fn newest(&self) -> i64 {
        self.steps.len() as i64
    }

    /// Brings the database to the newest format in one transaction.
    pub(crate) fn migrate(&self, connection: &mut Connection) -> Result<()> {
        if self.check(connection)? == self.newest() {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Whoever held the file until now may have done it.
        let found = self.check(&transaction)?;
        for step in self.steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", self.mark)?;
        transaction.pragma_update(None, "user_version", self.newest())?;
        Ok(transaction.commit()?)
    }

    /// The format of the database; 0 for an empty one.
    pub(crate) fn check(&self, connection: &Connection) -> Result<i64> {
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if found > self.newest() {
            return Err(StoreError::NewerFormat { name: self.name, found, supported: self.newest() });
        }
        if found < 0 || (found > 0 && mark != self.mark) {
            return Err(StoreError::Damaged(format!("the file is not a Lorekeep {}", self.name)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Barrier;

    use super::*;

    #[test]
    fn two_that_open_a_file_at_once_bring_it_up_to_date_once() {
        const OLD: Format = Format { name: "thing", mark: 7, steps: &["CREATE TABLE things (name TEXT)"] };
        let steps = &["CREATE TABLE things (name TEXT)", "ALTER TABLE things ADD COLUMN owner TEXT"];
        let new = Format { steps, ..OLD };
        for round in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let open = || {
                let connection = Connection::open(folder.path().join("things.sqlite")).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                connection
            };
            OLD.migrate(&mut open()).unwrap();
            let both = Barrier::new(2);
            std::thread::scope(|scope| {
                let migrate = || {
                    let mut connection = open();
                    both.wait();
                    new.migrate(&mut connection)
                };
                let migrations = [scope.spawn(migrate), scope.spawn(migrate)];
                for migration in migrations {
                    migration.join().unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
                }
            });
            assert_eq!(new.check(&open()).unwrap(), 2);
        }
    }
}
