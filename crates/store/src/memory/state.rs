//! What is held in memory.

use crate::table::{
    Copies, Correspondents, Cursors, Delivered, Endings, Greylist, History, Leases, Policies, Records, Registers,
    SentMail, Table, Votes,
};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;

/// A row, or where one was removed; and what stood there before.
#[derive(Debug)]
pub(crate) struct Cell<R> {
    pub(crate) row: Option<R>,
    pub(crate) before: Option<R>,
    pub(crate) stamp: i64,
}

/// The rows of a table by partition.
pub(crate) type Rows<T> = BTreeMap<<T as Table>::Partition, Partition<T>>;
/// The rows of a partition by key.
pub(crate) type Partition<T> = BTreeMap<<T as Table>::Key, Cell<<T as Table>::Row>>;

/// A table in memory.
pub(crate) trait MemoryTable: Table {
    fn rows(state: &State) -> &Rows<Self>;
    fn rows_mut(state: &mut State) -> &mut Rows<Self>;
}

macro_rules! state {
    ($($field:ident: $table:ty,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct State {
            pub(super) fail_writes: Option<String>,
            pub(super) fail_reads: Option<String>,
            pub(super) fail_after: Option<u32>,
            pub(super) delay_polls: u32,
            pub(super) lags: bool,
            pub(super) folds_at_once: bool,
            /// Stores that have it open for writing.
            pub(super) writers: u32,
            /// The partitions that were asked or changed, by table, since they are counted.
            pub(super) touched: Option<BTreeMap<&'static str, BTreeSet<String>>>,
            /// Chance, made with the disk, of which the keys of hashes are drawn.
            pub(super) chance: RandomState,
            $(pub(super) $field: Rows<$table>,)*
        }

        $(impl MemoryTable for $table {
            fn rows(state: &State) -> &Rows<Self> {
                &state.$field
            }

            fn rows_mut(state: &mut State) -> &mut Rows<Self> {
                &mut state.$field
            }
        })*
    };
}

state! {
    records: Records,
    endings: Endings,
    policies: Policies,
    delivered: Delivered,
    registers: Registers,
    history: History,
    votes: Votes,
    sent: SentMail,
    correspondents: Correspondents,
    copies: Copies,
    greylist: Greylist,
    cursors: Cursors,
    leases: Leases,
}

impl State {
    /// A partition is asked or changed.
    pub(super) fn touch<T: Table>(&mut self, partition: &T::Partition) {
        if let Some(touched) = &mut self.touched {
            touched.entry(T::NAME).or_default().insert(format!("{partition:?}"));
        }
    }

    /// All rows of a table that are there, in order.
    pub(super) fn all<T: MemoryTable>(&self) -> impl Iterator<Item = (&T::Partition, &T::Key, &T::Row)> {
        T::rows(self).iter().flat_map(|(partition, rows)| {
            let there = rows
                .iter()
                .filter_map(|(key, cell)| cell.row.as_ref().map(|row| (key, row)));
            there.map(move |(key, row)| (partition, key, row))
        })
    }
}
