//! Columns that stand under each other.
use super::colour::{Colour, Look};
use super::plain::plain;
use super::shape::Shape;

/// One place of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A text of anybody's: made harmless here.
    pub fn new(text: &str) -> Self {
        Self { text: plain(text), colour: None }
    }

    /// In a colour.
    pub fn colour(self, colour: Colour) -> Self {
        Self { colour: Some(colour), ..self }
    }
}

impl From<Shape> for Cell {
    fn from(shape: Shape) -> Self {
        Self { text: shape.text(), colour: Some(shape.colour()) }
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

/// Rows under their headings.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[Cell; N]], look: Look) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[Cell; N]| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let shown = cell.colour.map_or_else(|| cell.text.clone(), |colour| look.paint(colour, &cell.text));
            line.push_str(&shown);
            // The last column is not filled: no line ends in spaces.
            if row[column + 1..].iter().any(|cell| !cell.text.is_empty()) {
                line.push_str(&" ".repeat(widths[column] - cell.text.chars().count() + 2));
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
}
