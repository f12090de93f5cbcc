//! Which resource serves which need: a matching in a bipartite graph, found by augmenting paths.

/// Finds a resource of its own for each need such that every must-use resource serves one.
///
/// `options[need]` lists the resources that could serve the need, best first; `must_use` lists resources that have to
/// be used. Returns the resource for each need, or nothing if there is no such choice.
///
/// Augmenting never takes a resource out of use, so the must-use ones, placed first, stay placed.
pub fn assign(options: &[Vec<usize>], must_use: &[usize]) -> Option<Vec<usize>> {
    let mut serving: Vec<Option<usize>> = vec![None; options.len()];
    for resource in must_use {
        let mut visited = vec![false; options.len()];
        if !place(*resource, options, &mut serving, &mut visited) {
            return None;
        }
    }
    for need in 0..options.len() {
        if serving.get(need).is_some_and(Option::is_none) {
            let mut visited = Vec::new();
            if !serve(need, options, &mut serving, &mut visited) {
                return None;
            }
        }
    }
    serving.into_iter().collect()
}

/// Finds a need for a resource, moving other resources to other needs where that helps.
fn place(resource: usize, options: &[Vec<usize>], serving: &mut [Option<usize>], visited: &mut [bool]) -> bool {
    for need in 0..options.len() {
        if visited[need] || !options[need].contains(&resource) {
            continue;
        }
        visited[need] = true;
        let free = match serving[need] {
            None => true,
            Some(other) => place(other, options, serving, visited),
        };
        if free {
            serving[need] = Some(resource);
            return true;
        }
    }
    false
}

/// Finds a resource for a need, giving other needs other resources where that helps.
fn serve(need: usize, options: &[Vec<usize>], serving: &mut [Option<usize>], visited: &mut Vec<usize>) -> bool {
    for resource in &options[need] {
        if visited.contains(resource) {
            continue;
        }
        visited.push(*resource);
        let free = match serving.iter().position(|taken| *taken == Some(*resource)) {
            None => true,
            Some(other) => serve(other, options, serving, visited),
        };
        if free {
            serving[need] = Some(*resource);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries everything.
    fn exists(options: &[Vec<usize>], must_use: &[usize], taken: &mut Vec<usize>) -> bool {
        let Some(candidates) = options.get(taken.len()) else {
            return must_use.iter().all(|resource| taken.contains(resource));
        };
        candidates.iter().any(|resource| {
            if taken.contains(resource) {
                return false;
            }
            taken.push(*resource);
            let found = exists(options, must_use, taken);
            taken.pop();
            found
        })
    }

    proptest! {
        #[test]
        fn an_assignment_is_found_exactly_when_one_exists(
            options in prop::collection::vec(prop::collection::btree_set(0..6_usize, 0..5), 0..5),
            must_use in prop::collection::btree_set(0..6_usize, 0..3),
        ) {
            let options: Vec<Vec<usize>> = options.into_iter().map(|set| set.into_iter().collect()).collect();
            let must_use: Vec<usize> = must_use.into_iter().collect();
            let found = assign(&options, &must_use);
            prop_assert_eq!(found.is_some(), exists(&options, &must_use, &mut Vec::new()));
            if let Some(serving) = found {
                prop_assert!(serving.iter().zip(&options).all(|(resource, allowed)| allowed.contains(resource)));
                prop_assert!(must_use.iter().all(|resource| serving.contains(resource)));
                let mut distinct = serving.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), serving.len());
            }
        }
    }
}
