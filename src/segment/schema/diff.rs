//! Two schemas side by side.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use super::model::{Field, Kind, Schema};
use super::text::RustName;

/// The most rows that are written; with more, those that agree are left out first.
const MAX_ROWS: usize = 48;

/// Two schemas that differ: the one that a program expects, and the one that a segment has. From
/// [`Schema::difference`].
///
/// `Display` writes them side by side, field by field, and marks with `*` the rows in which name, type or offset
/// differ.
///
/// # Example
///
/// ```
/// use sharedware::segment::schema::Schema;
///
/// let expected = Schema::parse("T{<Q:seq:<d:price:}")?;
/// let found = Schema::parse("T{<Q:seq:<f:price:<I:size:}")?;
/// let difference = expected.difference(&found).expect("they differ");
/// let table = [
///     "  expected         found",
///     "     0 seq: u64       0 seq: u64",
///     "*    8 price: f64     8 price: f32",
///     "*                    12 size: u32",
///     "    16 bytes         16 bytes",
/// ];
/// assert_eq!(difference.to_string(), table.join("\n"));
/// # Ok::<(), sharedware::segment::schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    expected: Schema,
    found: Schema,
}

impl Schema {
    /// What differs between this schema and the one that was `found`; `None` if nothing does.
    ///
    /// ```
    /// use sharedware::Shared;
    ///
    /// assert_eq!(u64::schema().difference(&u64::schema()), None);
    /// assert!(u64::schema().difference(&f64::schema()).is_some());
    /// ```
    #[must_use]
    pub fn difference(&self, found: &Self) -> Option<Difference> {
        (self != found).then(|| Difference { expected: self.clone(), found: found.clone() })
    }
}

impl Difference {
    /// The schema that was asked for.
    #[must_use]
    pub const fn expected(&self) -> &Schema {
        &self.expected
    }

    /// The schema that was there.
    #[must_use]
    pub const fn found(&self) -> &Schema {
        &self.found
    }
}

/// One side of a row: a field, or an element without a name, at its offset from the start of the whole.
#[derive(Clone, Copy)]
struct Cell<'a> {
    offset: usize,
    name: &'a str,
    schema: &'a Schema,
}

impl<'a> Cell<'a> {
    fn of(field: &'a Field, base: usize) -> Self {
        Self { offset: base.saturating_add(field.offset()), name: field.name(), schema: field.schema() }
    }

    /// The fields that stand below it, and where they count from: its own if it is a struct, or those of its first
    /// element.
    fn fields(&self) -> &'a [Field] {
        match self.schema.kind() {
            Kind::Array { element, .. } => element.fields(),
            Kind::Struct(fields) => fields,
            Kind::Scalar(_) => &[],
        }
    }

    /// Two rows that read the same are the same: the fields below have rows of their own.
    fn text(&self, depth: usize) -> String {
        let (indent, colon) = (2 * depth, if self.name.is_empty() { "" } else { ": " });
        format!("{:4} {:indent$}{}{colon}{}", self.offset, "", self.name, RustName(self.schema))
    }
}

struct Row<'a> {
    depth: usize,
    expected: Option<Cell<'a>>,
    found: Option<Cell<'a>>,
}

/// Adds the row of two cells, or of one, and the rows of the fields below.
fn add_cells<'a>(rows: &mut Vec<Row<'a>>, depth: usize, expected: Option<Cell<'a>>, found: Option<Cell<'a>>) {
    rows.push(Row { depth, expected, found });
    add_fields(rows, depth + 1, expected, found);
}

/// Adds the rows of the fields of two cells: fields of one name share a row; what has no partner stands between.
fn add_fields<'a>(rows: &mut Vec<Row<'a>>, depth: usize, expected: Option<Cell<'a>>, found: Option<Cell<'a>>) {
    let fields = |cell: Option<Cell<'a>>| cell.map_or(&[][..], |cell| cell.fields());
    let cells = |cell: Option<Cell<'a>>| {
        let base = cell.map_or(0, |cell| cell.offset);
        fields(cell).iter().map(move |field| Cell::of(field, base)).peekable()
    };
    let positions = |cell| fields(cell).iter().enumerate().map(|(i, f)| (f.name(), i)).collect::<HashMap<_, _>>();
    let (in_expected, in_found) = (positions(expected), positions(found));
    let (mut left, mut right) = (cells(expected), cells(found));
    let (mut left_at, mut right_at) = (0, 0);
    loop {
        let (take_left, take_right) = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some(a), Some(b)) if a.name == b.name => (true, true),
            (Some(a), Some(b)) => {
                let a_comes = in_found.get(a.name).is_some_and(|at| *at > right_at);
                let b_comes = in_expected.get(b.name).is_some_and(|at| *at > left_at);
                // Only one comes later on the other side: it waits. Both: they changed places. None: it was renamed.
                (!a_comes || b_comes, !b_comes || a_comes)
            }
        };
        let (a, b) = (if take_left { left.next() } else { None }, if take_right { right.next() } else { None });
        left_at += usize::from(take_left);
        right_at += usize::from(take_right);
        add_cells(rows, depth, a, b);
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let root = |schema| Some(Cell { offset: 0, name: "", schema });
        let (expected, found) = (root(&self.expected), root(&self.found));
        let mut rows = Vec::new();
        match (self.expected.kind(), self.found.kind()) {
            (Kind::Struct(_), Kind::Struct(_)) => add_fields(&mut rows, 0, expected, found),
            _ => add_cells(&mut rows, 0, expected, found),
        }
        let mut lines: Vec<(String, String)> = rows
            .iter()
            .map(|row| {
                let text = |cell: Option<Cell<'_>>| cell.map_or_else(String::new, |cell| cell.text(row.depth));
                (text(row.expected), text(row.found))
            })
            .collect();
        let total = lines.len();
        if total > MAX_ROWS {
            lines.retain(|(expected, found)| expected != found);
            lines.truncate(MAX_ROWS);
        }
        let left_out = total - lines.len();
        lines.push((format!("{:4} bytes", self.expected.size()), format!("{:4} bytes", self.found.size())));

        let width = lines.iter().map(|(expected, _)| expected.chars().count()).max().unwrap_or(0);
        write!(f, "  {:width$}  found", "expected")?;
        for (expected, found) in &lines {
            let mark = if expected == found { ' ' } else { '*' };
            let line = format!("{mark} {expected:width$}  {found}");
            write!(f, "\n{}", line.trim_end())?;
        }
        if left_out > 0 {
            write!(f, "\n  ({left_out} more rows)")?;
        }
        Ok(())
    }
}
