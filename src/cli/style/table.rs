//! Columns that stand under each other.
use super::colour::{Colour, Look};
use super::plain::plain;
use super::shape::Shape;

/// One place of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
    whole: bool,
}

impl Cell {
    /// A text of anybody's: made harmless here.
    pub fn new(text: &str) -> Self {
        Self { text: plain(text), colour: None, whole: false }
    }

    /// In a colour.
    pub fn colour(self, colour: Colour) -> Self {
        Self { colour: Some(colour), ..self }
    }

    /// Never cut: half of it is of no use.
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }
}

impl From<Shape> for Cell {
    fn from(shape: Shape) -> Self {
        Self { text: shape.text(), colour: Some(shape.colour()), whole: true }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Between two columns.
const GAP: usize = 2;
/// A column that was made narrower still shows so much.
const NARROWEST: usize = 8;

/// Makes the widest columns narrower until a line fits.
fn fit<const N: usize>(widths: &mut [usize; N], whole: &[bool; N], columns: usize) {
    while widths.iter().sum::<usize>() + GAP * (N - 1) > columns {
        let widest = (0..N).filter(|at| !whole[*at] && widths[*at] > NARROWEST).max_by_key(|at| widths[*at]);
        match widest {
            Some(at) => widths[at] -= 1,
            None => return,
        }
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Rows under their headings; on a terminal as wide as it is.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[Cell; N]], look: Look) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let mut widths: [usize; N] = std::array::from_fn(width);
    if let Some(columns) = look.columns() {
        let whole = std::array::from_fn(|column| rows.iter().any(|row| row[column].whole));
        fit(&mut widths, &whole, columns);
    }
    let line = |row: &[Cell; N]| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let text = cut(&cell.text, widths[column]);
            let shown = cell.colour.map_or_else(|| text.clone(), |colour| look.paint(colour, &text));
            line.push_str(&shown);
            // The last column is not filled: no line ends in spaces.
            if row[column + 1..].iter().any(|cell| !cell.text.is_empty()) {
                line.push_str(&" ".repeat(widths[column] - text.chars().count() + GAP));
            }
        }
        line.push('\n');
        line
    };
    let heading = headings.map(|text| Cell::new(text).colour(Colour::Dim));
    let rows: String = rows.iter().map(line).collect();
    line(&heading) + &rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colours() {
        let rows = [
            ["web#1".into(), Cell::new("✓ success").colour(Colour::Good), "one\u{1b}[2J".into()],
            ["website#12".into(), Cell::new("● running").colour(Colour::Busy), "".into()],
        ];
        let bare = "JOB         STATE      WHAT\nweb#1       ✓ success  one\u{fffd}[2J\nwebsite#12  ● running\n";
        assert_eq!(table(["JOB", "STATE", "WHAT"], &rows, Look::bare()), bare);
        let coloured = table(["JOB", "STATE", "WHAT"], &rows, Look::coloured());
        assert!(coloured.contains("web#1       \u{1b}[32m✓ success\u{1b}[0m  one"), "{coloured}");
    }

    #[test]
    fn on_a_terminal_the_widest_columns_give_way_and_names_of_jobs_do_not() {
        let row = [Cell::new("a-very-long-pipeline-name#42").whole(), "x".repeat(60).as_str().into(), "y".into()];
        let text = table(["JOB", "BRANCH", "WHAT"], &[row], Look::narrow(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("a-very-long-pipeline-name#42  xxxx") && text.contains("x…  y"), "{text}");
    }
}
