//! What is printed: a table for people, one JSON object a line for programs.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Map, Value, json};

use crate::rounds::{Paired, Sample, Spread};

/// What a row has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Nothing: a row for information.
    None,
    /// Ours by theirs, at most.
    RatioAtMost(f64),
    /// Ours by theirs, at least.
    RatioAtLeast(f64),
    /// Ours, in the row's unit, at most.
    AtMost(f64),
    /// Ours, in the row's unit, at least.
    AtLeast(f64),
}

impl Goal {
    /// `None` where there is no goal or nothing to hold against it.
    pub(crate) fn met(self, ours: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::None => None,
            Self::RatioAtMost(most) => ratio.map(|it| it <= most),
            Self::RatioAtLeast(least) => ratio.map(|it| it >= least),
            Self::AtMost(most) => ours.map(|it| it <= most),
            Self::AtLeast(least) => ours.map(|it| it >= least),
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::None => String::new(),
            Self::RatioAtMost(most) => format!("≤ {most} x"),
            Self::RatioAtLeast(least) => format!("≥ {least} x"),
            Self::AtMost(most) => format!("≤ {most} {unit}"),
            Self::AtLeast(least) => format!("≥ {least} {unit}"),
        }
    }
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) against: String,
    pub(crate) ours: Option<Spread>,
    pub(crate) theirs: Option<Spread>,
    pub(crate) ratio: Option<Spread>,
    pub(crate) goal: Goal,
    pub(crate) rounds: usize,
    pub(crate) unstable: usize,
    pub(crate) repeated: usize,
    pub(crate) limit: Option<Spread>,
    pub(crate) ours_extra: BTreeMap<String, f64>,
    pub(crate) theirs_extra: BTreeMap<String, f64>,
}

impl Row {
    pub(crate) fn new(name: &str, unit: &'static str, against: &str, goal: Goal, paired: &Paired) -> Self {
        Self {
            name: name.into(),
            unit,
            against: against.into(),
            ours: Spread::of(paired.ours.iter().map(|sample| sample.value)),
            theirs: Spread::of(paired.theirs.iter().map(|sample| sample.value)),
            ratio: paired.ratio(),
            goal,
            rounds: paired.theirs.len(),
            unstable: paired.unstable,
            repeated: paired.repeated,
            limit: Spread::of(paired.limits.iter().copied()),
            ours_extra: medians(&paired.ours),
            theirs_extra: medians(&paired.theirs),
        }
    }

    pub(crate) fn met(&self) -> Option<bool> {
        self.goal.met(self.ours.map(|it| it.median), self.ratio.map(|it| it.median))
    }

    /// `{"name","unit","value","against","other","ratio"}` and, beside these, spreads, percentiles, goal and stability.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        put("name", json!(self.name));
        put("unit", json!(self.unit));
        put("value", json!(self.ours.map(|it| it.median)));
        put("against", json!(self.against));
        put("other", json!(self.theirs.map(|it| it.median)));
        put("ratio", json!(self.ratio.map(|it| it.median)));
        for (key, spread) in
            [("value", self.ours), ("other", self.theirs), ("ratio", self.ratio), ("limit", self.limit)]
        {
            if let Some(spread) = spread {
                put(&format!("{key}_p25"), json!(spread.p25));
                put(&format!("{key}_p75"), json!(spread.p75));
            }
        }
        put("limit_ns", json!(self.limit.map(|it| it.median)));
        for (prefix, extra) in [("value", &self.ours_extra), ("other", &self.theirs_extra)] {
            for (key, value) in extra {
                put(&format!("{prefix}_{key}"), json!(value));
            }
        }
        put("goal", json!(self.goal.text(self.unit)));
        put("met", json!(self.met()));
        put("rounds", json!(self.rounds));
        put("unstable", json!(self.unstable));
        put("repeated", json!(self.repeated));
        Value::Object(object)
    }
}

/// The median of each extra figure.
fn medians(samples: &[Sample]) -> BTreeMap<String, f64> {
    let keys = samples.iter().flat_map(|sample| sample.extra.keys());
    keys.collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .filter_map(|key| {
            let spread = Spread::of(samples.iter().filter_map(|sample| sample.extra.get(key).copied()))?;
            Some((key.clone(), spread.median))
        })
        .collect()
}

/// The table for people.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["what", "ours", "unit", "against", "theirs", "ratio", "goal", "met?", "unsteady"]);
    for row in rows {
        let met = row.met().map_or("", |met| if met { "yes" } else { "no" });
        table.add_row([
            row.name.clone(),
            figure(row.ours, &row.ours_extra),
            row.unit.into(),
            row.against.clone(),
            figure(row.theirs, &row.theirs_extra),
            row.ratio.map_or_else(|| "-".into(), |it| format!("{:.2} [{:.2}-{:.2}]", it.median, it.p25, it.p75)),
            row.goal.text(row.unit),
            met.into(),
            if row.unstable == 0 { String::new() } else { format!("{}/{}", row.unstable, row.rounds) },
        ]);
    }
    for column in [1, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// The median with its quartiles, and percentiles on a line below.
fn figure(spread: Option<Spread>, extra: &BTreeMap<String, f64>) -> String {
    let Some(spread) = spread else { return "-".into() };
    let mut text = format!("{} [{}-{}]", short(spread.median), short(spread.p25), short(spread.p75));
    if !extra.is_empty() {
        let parts: Vec<String> = extra.iter().map(|(key, value)| format!("{key} {}", short(*value))).collect();
        text = format!("{text}\n{}", parts.join(", "));
    }
    text
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size == 0.0 || size >= 0.1 => format!("{value:.2}"),
        size => format!("{value:.*}", (2.0 - size.log10().floor()).clamp(2.0, 9.0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: &[f64], goal: Goal) -> Row {
        let samples = |values: &[f64]| values.iter().map(|&value| Sample { value, ..Sample::default() }).collect();
        let paired = Paired { ours: samples(ours), theirs: samples(&[10.0, 20.0, 30.0]), ..Paired::default() };
        Row::new("spsc.test", "ns", "rival", goal, &paired)
    }

    #[test]
    fn figures_have_three_digits_or_so() {
        let shown = [1234.5, 12.345, 1.2345, 0.12345, 0.012345, 0.001_234_5, 0.0].map(short);
        assert_eq!(shown, ["1234", "12.3", "1.23", "0.12", "0.0123", "0.00123", "0.00"]);
    }

    #[test]
    fn goals_are_held_against_medians() {
        assert_eq!(row(&[5.0, 10.0, 15.0], Goal::RatioAtMost(0.5)).met(), Some(true));
        assert_eq!(row(&[5.0, 10.0, 15.0], Goal::RatioAtLeast(0.51)).met(), Some(false));
        assert_eq!(row(&[5.0, 10.0, 15.0], Goal::AtMost(9.0)).met(), Some(false));
        assert_eq!(row(&[5.0, 10.0, 15.0], Goal::AtLeast(9.0)).met(), Some(true));
        assert_eq!(row(&[5.0], Goal::None).met(), None);
        assert_eq!(row(&[], Goal::RatioAtMost(0.5)).met(), None);
    }

    #[test]
    fn json_has_the_promised_keys() {
        let object = row(&[5.0, 10.0, 15.0], Goal::RatioAtMost(0.5)).json();
        for key in ["name", "unit", "value", "against", "other", "ratio"] {
            assert!(!object[key].is_null(), "{key}");
        }
        assert_eq!(object["value"], 10.0);
        assert_eq!(object["met"], true);
        assert!(row(&[], Goal::None).json()["value"].is_null());
    }

    #[test]
    fn the_table_shows_every_row() {
        let text = table(&[row(&[5.0], Goal::None), row(&[], Goal::AtMost(1.0))]);
        assert_eq!(text.matches("spsc.test").count(), 2);
        assert!(text.contains("≤ 1 ns"));
    }
}
