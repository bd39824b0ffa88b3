//! What every back-end promises, asked through the public interface only. Each claim is a test over each back-end.

#[path = "../common/mod.rs"]
mod common;
mod gateways;
mod history;
mod lesson_steps;
mod lessons;
mod partitions;
mod records;
mod upkeep;

use std::path::PathBuf;
use store::{MemoryDisk, Reader, Store};
use tempfile::TempDir;

/// A place for one store.
enum Place {
    Embedded(TempDir),
    Memory(MemoryDisk),
}

impl Place {
    fn embedded() -> Place {
        Place::Embedded(TempDir::new().unwrap())
    }

    fn memory() -> Place {
        Place::Memory(MemoryDisk::new())
    }

    /// In memory, with answers that take time.
    fn slow() -> Place {
        let disk = MemoryDisk::new();
        disk.delay_answers(3);
        Place::Memory(disk)
    }

    fn each() -> [Place; 3] {
        [Place::embedded(), Place::memory(), Place::slow()]
    }

    fn path(dir: &TempDir) -> PathBuf {
        dir.path().join("state/mailward.db")
    }

    fn open(&self) -> Store {
        match self {
            Place::Embedded(dir) => Store::open(&Place::path(dir)).unwrap(),
            Place::Memory(disk) => Store::open_in_memory(disk).unwrap(),
        }
    }

    fn open_read_only(&self) -> Reader {
        match self {
            Place::Embedded(dir) => Store::open_read_only(&Place::path(dir)).unwrap(),
            Place::Memory(disk) => Store::open_in_memory_read_only(disk).unwrap(),
        }
    }
}

/// Makes each claim a test over each back-end; one that is left out is dead code, and warned of.
macro_rules! suite {
    ($($claim:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(crate::Place::embedded()).await;
            })*
        }
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(crate::Place::memory()).await;
            })*
        }
        mod slow {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(crate::Place::slow()).await;
            })*
        }
    };
}
use suite;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
