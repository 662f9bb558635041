//! The last records, bounded in number and in bytes, and when each of them has changed.

use std::collections::VecDeque;

use crate::local::console::{
    call::Call,
    record::{Invocation, Kind, Record},
};

/// How many records are kept, and how many bytes of memory they may take together, about.
pub(super) const MOST_RECORDS: usize = 200;
pub(super) const MOST_WEIGHT: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Records {
    /// Ascending by number.
    records: VecDeque<Record>,
    /// How many bytes of memory they take together, about.
    pub(super) weight: usize,
    last_number: u64,
    /// How many changes there were.
    changes: u64,
}

impl Records {
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The oldest one first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    /// The numbers of all records, as the first and the last one of each run.
    pub(super) fn runs(&self) -> Vec<[u64; 2]> {
        let mut runs: Vec<[u64; 2]> = Vec::new();
        for record in &self.records {
            match runs.last_mut() {
                Some([_, last]) if *last + 1 == record.number => *last = record.number,
                _ => runs.push([record.number; 2]),
            }
        }
        runs
    }

    pub(super) fn get(&self, number: u64) -> Option<&Record> {
        self.records.get(self.position(number)?)
    }

    /// Whoever changes something calls [`Records::touch`].
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Record> {
        let position = self.position(number)?;
        self.records.get_mut(position)
    }

    /// The number of an invocation.
    pub(super) fn number_of(&self, request_id: &str) -> Option<u64> {
        let is_it = |record: &&Record| matches!(&record.kind, Kind::Invocation(invocation) if invocation.request_id == request_id);
        self.records.iter().rfind(is_it).map(|record| record.number)
    }

    pub(super) fn add(&mut self, kind: Kind) -> u64 {
        self.last_number += 1;
        let record = Record::new(self.last_number, kind);
        self.weight += record.weight;
        self.records.push_back(record);
        self.touch(self.last_number);
        self.make_room();
        self.last_number
    }

    /// Notes that a record has changed.
    pub(super) fn touch(&mut self, number: u64) {
        self.changes += 1;
        let changes = self.changes;
        if let Some(record) = self.get_mut(number) {
            record.changed = changes;
        }
    }

    /// Changes an invocation; gives its number.
    pub(super) fn change(
        &mut self,
        request_id: &str,
        change: impl FnOnce(&mut Invocation),
    ) -> Option<u64> {
        let number = self.number_of(request_id)?;
        if let Some(invocation) = self.get_mut(number).and_then(Record::invocation) {
            change(invocation);
        }
        self.touch(number);
        Some(number)
    }

    /// Puts something into a record; `put` gives by how many bytes it grew.
    pub(super) fn put(&mut self, number: u64, put: impl FnOnce(&mut Record) -> usize) {
        if let Some(record) = self.get_mut(number) {
            let weight = put(record);
            self.grew(number, weight);
        }
    }

    /// Something about a call has changed; `change` gives by how many bytes it grew.
    pub(super) fn change_call(&mut self, id: u64, change: impl FnOnce(&mut Call) -> usize) {
        // Mostly the newest record's.
        for record in self.records.iter_mut().rev() {
            if let Some(call) = record.calls.iter_mut().rev().find(|call| call.id == id) {
                let weight = change(call);
                let number = record.number;
                self.grew(number, weight);
                return;
            }
        }
    }

    fn grew(&mut self, number: u64, weight: usize) {
        if let Some(record) = self.get_mut(number) {
            record.weight += weight;
            self.weight += weight;
            self.touch(number);
        }
        if self.weight > MOST_WEIGHT {
            self.make_room();
        }
    }

    /// Drops the oldest of what is over; of what is not only where there is nothing else.
    fn make_room(&mut self) {
        while self.records.len() > MOST_RECORDS || self.weight > MOST_WEIGHT {
            let dispensable = self
                .records
                .iter()
                .position(|record| record.is_over())
                .unwrap_or(0);
            match self.records.remove(dispensable) {
                Some(record) => self.weight -= record.weight,
                None => return,
            }
        }
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.records
            .binary_search_by_key(&number, |record| record.number)
            .ok()
    }
}
