//! What the code that `#[derive(Shared)]` writes calls. Not an API.

// Public, or else the compiler takes the trait for a sealed one and says so.
pub use bytemuck;
use bytemuck::Pod;

pub use super::layout::Layout;
use super::model::{Field, Schema};

/// [`Pod`] by a name that lets the compiler say what to do where it is missing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain old data: `Shared` builds on `bytemuck::Pod`",
    label = "not `bytemuck::Pod`",
    note = "add `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]`"
)]
pub trait PlainOldData: Pod {}

#[diagnostic::do_not_recommend]
impl<T: Pod> PlainOldData for T {}

/// Compiles for plain old data only.
pub const fn plain<T: PlainOldData>() {}

/// The schema of a struct from what the compiler says about it. Fields that are nothing (`PhantomData`) are left out.
///
/// The compiler's offsets make a valid schema; any others are moved until they do.
#[must_use]
pub fn structure<const N: usize>(size: usize, mut fields: [(&str, usize, Schema); N]) -> Schema {
    fields.sort_by_key(|(_, offset, schema)| (*offset, schema.size()));
    let mut end = 0;
    let mut list = Vec::with_capacity(N);
    for (name, offset, schema) in fields {
        if !is_nothing(&schema) {
            let field = Field::new(name.to_owned(), offset.max(end), schema);
            end = field.end();
            list.push(field);
        }
    }
    Schema::structure(size.max(end), list)
}

/// The schema of the one field that a `repr(transparent)` struct consists of.
#[must_use]
pub fn transparent<const N: usize>(size: usize, fields: [(&str, usize, Schema); N]) -> Schema {
    match fields.iter().find(|(_, _, schema)| schema.size() == size && !is_nothing(schema)) {
        Some((_, _, schema)) => schema.clone(),
        None => structure(size, fields),
    }
}

fn is_nothing(schema: &Schema) -> bool {
    schema.size() == 0 && matches!(schema.kind(), super::Kind::Struct(fields) if fields.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shared;

    #[test]
    fn gaps_are_padding() {
        let schema = structure(12, [("a", 0, u8::schema()), ("b", 4, u32::schema()), ("c", 8, u16::schema())]);
        assert_eq!(schema.to_string(), "T{<B:a:3x<I:b:<H:c:2x}");
        assert_eq!(schema.align(), 4);
    }

    #[test]
    fn what_no_compiler_says_is_moved_until_it_is_a_schema() {
        let schema = structure(0, [("b", 7, u32::schema()), ("a", 6, u64::schema())]);
        assert_eq!(schema.to_string(), "T{6x<Q:a:<I:b:}");
        assert_eq!(structure(usize::MAX, [("a", usize::MAX, u8::schema())]).fields().len(), 1);
    }

    #[test]
    fn markers_leave_no_trace() {
        let marker = std::marker::PhantomData::<u8>::schema;
        assert_eq!(structure(8, [("m", 8, marker()), ("a", 0, u64::schema())]).to_string(), "T{<Q:a:}");
        assert_eq!(transparent(8, [("m", 0, marker()), ("a", 0, u64::schema())]), u64::schema());
        assert_eq!(transparent(0, [("m", 0, marker())]).to_string(), "T{}");
    }
}
