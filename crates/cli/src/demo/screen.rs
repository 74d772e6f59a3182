//! The demo on a terminal: one screen, ten times a second.

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table};
use signal_hook::consts::SIGINT;

use super::story::{Story, time};
use super::{FRAME, Stage};
use crate::exit::{Exit, Outcome};
use crate::signals::Signals;

/// The terminal, ours until dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    pub(super) fn open() -> Outcome<Self> {
        // Also has a panic give the terminal back.
        let terminal = ratatui::try_init().map_err(|error| Exit::os("use the terminal (try --plain)", error))?;
        Ok(Self { terminal })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Stage for Screen {
    fn show(&mut self, story: &Story, _: &mut Signals) -> Outcome<bool> {
        let os = |error| Exit::os("use the terminal (try --plain)", error);
        self.terminal.draw(|frame| draw(frame, story)).map_err(os)?;
        if !event::poll(FRAME).map_err(os)? {
            return Ok(true);
        }
        let Event::Key(key) = event::read().map_err(os)? else { return Ok(true) };
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Err(Exit::Signal(SIGINT)),
            KeyCode::Char('q') | KeyCode::Esc => Ok(false),
            _ => Ok(true),
        }
    }
}

fn draw(frame: &mut Frame<'_>, story: &Story) {
    let rows = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Min(4),
        Constraint::Length(1),
    ]);
    let [top, processes, middle, events, foot] = rows.areas(frame.area());
    let [ring, slots] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
    progress(frame, top, story);
    self::processes(frame, processes, story);
    self::ring(frame, ring, story);
    self::slots(frame, slots, story);
    self::events(frame, events, story);
    let name = &story.name;
    let hint = format!(" q: end.  Elsewhere: sharedware ls, sharedware dump {name}.quotes, kill -9 any pid above");
    frame.render_widget(Paragraph::new(hint).dim(), foot);
}

fn titled(title: &str) -> Block<'_> {
    Block::bordered().title(Span::from(format!(" {title} ")).bold()).border_style(Style::new().dim())
}

fn progress(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let (now, all) = (story.elapsed().as_secs_f64(), story.length.as_secs_f64());
    let gauge = Gauge::default()
        .block(titled("sharedware: data structures in shared memory, no server"))
        .gauge_style(Style::new().fg(Color::Cyan))
        .ratio((now / all).clamp(0.0, 1.0))
        .label(format!("{now:.1} of {all:.0} s"));
    frame.render_widget(gauge, area);
}

fn processes(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let count = |number: u64| indicatif::HumanCount(number).to_string();
    let row = |name: &'static str, pid: u64, what: &'static str, so_far: String| {
        Row::new([Cell::from(name).bold(), Cell::from(pid.to_string()), Cell::from(what), Cell::from(so_far)])
    };
    let rows = [
        row(
            "feed",
            story.feed.pid,
            "pushes numbered ticks, writes quotes",
            format!("{} pushed", count(story.feed.next)),
        ),
        row("book", story.book.pid, "pops ticks and checks every number", format!("{} popped", count(story.book.next))),
        row(
            "watch",
            story.watch.pid,
            "reads quotes, mapped for reading only",
            format!("{} reads", count(story.watch.reads)),
        ),
    ];
    let widths = [Constraint::Length(6), Constraint::Length(9), Constraint::Length(40), Constraint::Fill(1)];
    let header = Row::new(["", "pid", "what it does", "so far"]).dim();
    frame.render_widget(Table::new(rows, widths).header(header).block(titled("processes")), area);
}

fn ring(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let title = format!("ring {}.ticks, 32-byte messages", story.name);
    let block = titled(&title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [graph, text] = Layout::vertical([Constraint::Fill(1), Constraint::Length(3)]).areas(inner);
    let past = usize::from(graph.width).min(story.rates.len());
    let rates: Vec<u64> = story.rates.iter().skip(story.rates.len() - past).copied().collect();
    frame.render_widget(Sparkline::default().data(&rates).style(Style::new().fg(Color::Green)), graph);
    let book = &story.book;
    let lines = vec![
        Line::from(vec![
            "full speed ".dim(),
            format!("{:.0} million/s", story.full_speed / 1e6).bold().green(),
            "   lost ".dim(),
            lost(story.lost()),
        ]),
        Line::from(vec![
            "one way    ".dim(),
            format!("p50 {}", time(book.p50_ns)).bold().green(),
            format!("  p99 {}  p99.9 {}", time(book.p99_ns), time(book.p999_ns)).into(),
        ]),
        Line::from("one a microsecond (timed), then full speed".dim()),
    ];
    frame.render_widget(Paragraph::new(lines), text);
}

fn slots(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let title = format!("slots {}.quotes", story.name);
    let lines = vec![
        Line::from(vec!["one read   ".dim(), format!("{:.1} ns", story.read_ns).bold().green()]),
        Line::from(vec!["reads      ".dim(), indicatif::HumanCount(story.watch.reads).to_string().into()]),
        Line::from(vec!["writes     ".dim(), indicatif::HumanCount(story.written).to_string().into()]),
        Line::from(vec!["half-written seen ".dim(), lost(story.watch.torn)]),
        Line::default(),
        Line::from("readers wait for nobody".dim()),
    ];
    frame.render_widget(Paragraph::new(lines).block(titled(&title)), area);
}

fn lost(number: u64) -> Span<'static> {
    if number == 0 { "0".bold().green() } else { number.to_string().bold().red() }
}

fn events(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let room = usize::from(area.height.saturating_sub(2));
    let skipped = story.events.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = story.events[skipped..]
        .iter()
        .map(|(when, what)| {
            let text = if what.contains("kill") { what.as_str().yellow() } else { what.as_str().into() };
            Line::from(vec![format!("{:5.1} s  ", when.as_secs_f64()).dim(), text])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(titled("what happened")), area);
}
