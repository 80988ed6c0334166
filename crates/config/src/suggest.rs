//! "Did you mean": the known word nearest to one that is not known.

/// The candidate with the smallest edit distance to `word`, if it is near enough to be what was meant.
/// Case, and `-` for `_`, do not count.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing mistakes, and the distance takes the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let folded = fold(word);
    let near = |candidate: &&str| {
        let limit = (folded.len().max(candidate.len()) / 3).max(1);
        let d = distance(&folded, &fold(candidate));
        (d <= limit).then_some(d)
    };
    let scored = candidates.into_iter().filter_map(|c| Some((near(&c)?, c)));
    scored.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Edit distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        let keys = ["name", "failback", "failure_detection_time", "standby"];
        let table = [
            ("nmae", Some("name")),
            ("Name", Some("name")),
            ("failbak", Some("failback")),
            ("failure-detection-time", Some("failure_detection_time")),
            ("failure_detection", Some("failure_detection_time")),
            ("colour", None),
            ("", None),
        ];
        for (word, want) in table {
            assert_eq!(nearest(word, keys), want, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), keys), None);
    }
}
