//! Pages of lists.

/// Most entries of a page, where a method does not say otherwise.
pub const MAX_PAGE: i32 = 500;
/// Entries of a page, unless the caller says otherwise.
pub const DEFAULT_PAGE: i32 = 100;

/// One page, and where the next begins.
#[derive(Debug, Clone)]
pub struct Page<T, After> {
    /// Its entries.
    pub items: Vec<T>,
    /// What the next page comes after; none on the last.
    pub next: Option<After>,
}

/// How many entries to ask the store for: one more than the page holds tells whether there is a next page.
pub fn fetch(size: i32) -> i64 {
    i64::from(size) + 1
}

impl<T, After> Page<T, After> {
    /// A page from what [`fetch`] brought.
    pub fn new(mut items: Vec<T>, size: i32, after: impl Fn(&T) -> After) -> Self {
        let size = usize::try_from(size).unwrap_or_default();
        let more = items.len() > size;
        items.truncate(size);
        let next = if more { items.last().map(after) } else { None };
        Self { items, next }
    }

    /// The same page of something else.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Page<U, After> {
        Page { items: self.items.into_iter().map(map).collect(), next: self.next }
    }
}
