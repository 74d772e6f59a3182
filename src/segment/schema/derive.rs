//! What the code that `#[derive(Shared)]` writes calls. Not an API.

pub use bytemuck::Pod;

use super::model::{Field, Schema};

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
