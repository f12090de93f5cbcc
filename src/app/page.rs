//! Pages of lists.

/// Most entries of a page, where a method does not say otherwise.
pub const MAX_PAGE: i32 = 500;
/// Entries of a page, unless the caller says otherwise.
pub const DEFAULT_PAGE: i32 = 100;

/// One page.
#[derive(Debug, Clone)]
pub struct Page<T, After> {
    /// Its entries, each with the place that a page after it begins at.
    pub items: Vec<(T, After)>,
    /// Whether there is a next page.
    pub more: bool,
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
        let items = items.into_iter().map(|item| {
            let after = after(&item);
            (item, after)
        });
        Self { items: items.collect(), more }
    }
}
