//! When a register is none.

use crate::back_end::Rows;
use crate::table::Register;

/// A register that says nothing is none; but where others may be late, it would begin its versions anew, below those of what
/// they write.
pub(super) fn kept(rows: Rows<'_>, register: Register) -> Option<Register> {
    let is_empty = register.label.is_none() && register.lesson.is_none();
    (!is_empty || !rows.is_alone()).then_some(register)
}
