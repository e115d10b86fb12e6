//! Tables that stand on the terminal and, with `RECORD=FOLDER` in the environment, in `FOLDER/NAME.tsv` as well.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// `cargo bench` passes `--bench`; without it (as a test) a short round shows that everything still runs.
pub fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A table that grows by rows. Its record begins with a line of the conditions; what stands in it is what was printed.
pub struct Table {
    columns: Vec<&'static str>,
    record: Option<File>,
}

impl Table {
    /// `columns` are names between spaces, with their units; `also` are conditions that this bench has beside those of all.
    pub fn new(name: &str, also: &str, columns: &'static str) -> Self {
        let columns: Vec<&str> = columns.split(' ').collect();
        let record = std::env::var_os("RECORD").filter(|_| is_measured()).map(|folder| {
            std::fs::create_dir_all(&folder).unwrap();
            let mut record = File::create(Path::new(&folder).join(format!("{name}.tsv"))).unwrap();
            writeln!(record, "# {}{}{also}", conditions(), if also.is_empty() { "" } else { "; " }).unwrap();
            record
        });
        println!();
        let mut table = Self { columns: columns.clone(), record };
        table.row(columns.into_iter().map(String::from));
        table
    }

    /// One row, a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len());
        if let Some(record) = &mut self.record {
            writeln!(record, "{}", cells.join("\t")).unwrap();
        }
        for (column, cell) in self.columns.iter().zip(&cells) {
            match *column {
                "case" | "floor" => print!("{cell:<44} "),
                _ => print!("{cell:>12} "),
            }
        }
        println!();
    }
}

/// Day, processor, cores, compiler.
fn conditions() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (day, compiler) = (told_by("date", "+%F"), told_by("rustc", "--version"));
    let compiler = compiler.split(" (").next().unwrap();
    format!("{day}; {}; {cores} cores; {compiler}", model.unwrap_or("unknown processor"))
}

fn told_by(program: &str, argument: &str) -> String {
    let told = Command::new(program).arg(argument).output().unwrap().stdout;
    String::from_utf8(told).unwrap().trim().to_owned()
}

/// The median of what was found, and what one in ten and nine in ten stay below.
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |tenth| values[values.len() * tenth / 10];
        Self { median: at(5), low: at(1), high: at(9) }
    }

    /// Three cells.
    pub fn cells(&self) -> [String; 3] {
        [self.median, self.low, self.high].map(|value| format!("{value:.2}"))
    }
}

/// What took how many microseconds in each turn; the first of them is the floor of all.
pub type Turns<'a> = (&'a str, Vec<f64>);

/// Rows of a store's calls beside the bare ones: how long, and which share of the floor's rate in the same turn.
pub fn push_rates(table: &mut Table, turns: &[Turns<'_>]) {
    let (floor, bare) = &turns[0];
    for (case, times) in turns {
        let rate = Spread::of(bare.iter().zip(times).map(|(bare, own)| bare / own));
        let median = format!("{:.1}", Spread::of(times.iter().copied()).median);
        table.row([(*case).into(), (*floor).into(), median].into_iter().chain(rate.cells()));
    }
}

/// The columns of those rows.
pub const RATES: &str = "case floor median_us rate low high";

/// How far a store is grown: `ROWS` of the environment, one million where it says nothing, and every tenth of it from `least` on.
pub fn sizes(least: u64, in_test: u64) -> Vec<u64> {
    let asked = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let mut sizes = vec![if is_measured() { asked } else { in_test }];
    while sizes[sizes.len() - 1] / 10 >= least {
        sizes.push(sizes[sizes.len() - 1] / 10);
    }
    sizes.reverse();
    sizes
}
