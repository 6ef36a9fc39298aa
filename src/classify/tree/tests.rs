//! The tree, against a look at each pattern in turn.

use proptest::prelude::*;

use super::*;

fn tree(patterns: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for (place, pattern) in (0..).zip(patterns) {
        tree.insert(Some(&Pattern::new(pattern).unwrap()), place);
    }
    tree
}

fn on(tree: &Tree, path: &str) -> (Vec<u16>, Vec<u16>) {
    let found = tree.find(path);
    (found.some.iter().collect(), found.every.iter().collect())
}

#[test]
fn a_path_is_on_all_routes_that_fit_it() {
    let tree = tree(&[
        "/api/vm",
        "/api/vm/*",
        "/api/**",
        "/api/*/x",
        "/**",
        "/API/vm",
        "/",
    ]);
    assert_eq!(on(&tree, "/api/vm"), (vec![0, 2, 4, 5], vec![0, 2, 4]));
    assert_eq!(
        on(&tree, "/api/vm/x/"),
        (vec![1, 2, 3, 4], vec![1, 2, 3, 4])
    );
    assert_eq!(on(&tree, "/API/vm"), (vec![0, 2, 4, 5], vec![4, 5]));
    assert_eq!(on(&tree, "/"), (vec![4, 6], vec![4, 6]));
    assert_eq!(on(&tree, "/x"), (vec![4], vec![4]));
}

#[test]
fn a_route_without_a_path_is_on_every_path() {
    let mut tree = tree(&["/a"]);
    tree.insert(None, 1);
    assert_eq!(on(&tree, "/b"), (vec![1], vec![1]));
}

#[test]
fn spellings_agree_on_what_is_in_every_one() {
    let tree = tree(&["/a/*", "/a/b", "/x"]);
    let mut found = tree.find("/a/b");
    found.and(&tree.find("/A/c"));
    assert_eq!(found.some.iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(found.every.iter().count(), 0);
}

#[test]
fn places_are_kept_up_to_the_last() {
    let mut places = Places::NONE;
    for place in [0, 63, 64, 1023, 1024, u16::MAX] {
        places.insert(place);
    }
    assert_eq!(places.iter().collect::<Vec<_>>(), [0, 63, 64, 1023]);
    assert!(places.contains(64) && !places.contains(65) && !places.contains(1024));
}

proptest! {
    #[test]
    fn it_finds_what_the_patterns_say(
        patterns in prop::collection::vec("(/([abA]|\\*|bb)){0,4}(/\\*\\*)?", 1..12),
        path in "(/([abAB]|bb|)){0,5}/?",
    ) {
        let rooted = |text: &String| if text.is_empty() { "/".to_owned() } else { text.clone() };
        let patterns: Vec<String> = patterns.iter().map(rooted).collect();
        let path = rooted(&path);
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let fits = |pattern: &&str| Pattern::new(pattern).unwrap().matches(&path);
        let wanted: Vec<u16> = (0..).zip(&texts).filter(|(_, one)| fits(one)).map(|(at, _)| at).collect();
        let (some, every) = on(&tree(&texts), &path);
        prop_assert_eq!(&some, &wanted);
        let exactly: Vec<u16> = wanted.into_iter().filter(|at| {
            let pattern = texts[usize::from(*at)];
            let names = pattern.split('/').zip(path.split('/'));
            names.into_iter().all(|(wanted, name)| wanted.contains('*') || wanted == name)
        }).collect();
        prop_assert_eq!(every, exactly);
    }
}
