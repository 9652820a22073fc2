//! How many items have to be inserted, deleted or replaced to get from one sequence to another (Levenshtein, 1966).

/// The edit distance of two sequences.
///
/// ```
/// # use flambeau_audio::functional::edit_distance;
/// let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
/// assert_eq!(edit_distance(&words("turn the light on"), &words("turn lights on")), 2);
/// ```
pub fn edit_distance<T: PartialEq>(from: &[T], to: &[T]) -> usize {
    // The distances of the part of `from` so far to each beginning of `to`.
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, item) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(item != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
