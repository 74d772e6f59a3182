//! Standard output: one document or one table, and nothing else.

use std::fmt::Display;
use std::io::Write;

use comfy_table::{Cell, CellAlignment, Table};
use serde_json::Value;

use crate::exit::{Exit, Outcome};

/// Writes it all. A reader that has gone away ends us quietly.
pub(crate) fn write(bytes: &[u8]) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Exit::os("write to standard output", error))
}

/// Says something on standard error. If nobody listens, nobody needs to know.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "sharedware: {message}");
}

/// The one JSON document of a `--json` run.
pub(crate) fn json(document: &Value) -> Outcome {
    write(format!("{document:#}\n").as_bytes())
}

/// A table without rules, as `ls` and `ps` have it; `right` says which columns hold numbers.
pub(crate) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let align = |index: usize, text: String| {
        let side = if right.contains(&index) { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(side)
    };
    let line = |cells: Vec<String>| cells.into_iter().enumerate().map(|(i, text)| align(i, text)).collect::<Vec<_>>();
    if !header.is_empty() {
        table.set_header(line(header.iter().map(ToString::to_string).collect()));
    }
    for row in rows {
        table.add_row(line(row));
    }
    table
}

/// Prints a table, without the blanks that would pad its last column.
pub(crate) fn print(table: &Table) -> Outcome {
    let text: String =
        table.lines().map(|line| format!("{}\n", line.trim_end().strip_prefix(' ').unwrap_or_default())).collect();
    write(text.as_bytes())
}
