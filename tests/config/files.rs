//! Every file under `config/` is loaded, and says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate::config::{Store, load};

use crate::good;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[test]
fn the_documented_file_and_every_example_load() {
    let mut names = Vec::new();
    for file in files("").into_iter().chain(files("examples")) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# "),
            "{} does not open with whom it is for",
            file.display()
        );
        load(&file).unwrap_or_else(|faults| panic!("{}: {faults}", file.display()));
        names.push(file.file_stem().unwrap().to_string_lossy().into_owned());
    }
    let examples = [
        "avi",
        "behind-a-load-balancer",
        "bench",
        "minimal",
        "nsx",
        "tuned",
        "two-vcenters",
        "vcenter",
    ];
    assert_eq!(names[0], "tidegate");
    assert!(
        examples
            .iter()
            .all(|name| names.iter().any(|have| have == name)),
        "{names:?}"
    );
}

#[test]
fn every_profile_loads_by_its_name_and_as_a_file() {
    let profiles = files("profiles");
    assert_eq!(profiles.len(), 8, "{profiles:?}");
    for file in profiles {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let with = |profile: &str| {
            good(&format!(
                "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\""
            ))
            .upstreams
            .remove(0)
        };
        let (built_in, path) = (with(name), with(&format!("config/profiles/{name}.toml")));
        assert_eq!(
            (
                built_in.profile.as_str(),
                &built_in.limits,
                &built_in.routes
            ),
            (name, &path.limits, &path.routes)
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains(&format!("\nname  = \"{name}\"\n")),
            "{name} has another name"
        );
    }
}

#[test]
fn the_vcenter_profiles_tell_calls_apart_alike() {
    let routes = |profile: &str| {
        good(&format!(
            "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\""
        ))
        .upstreams
        .remove(0)
        .routes
    };
    assert_eq!(routes("vcenter-7.0"), routes("vcenter-8.0"));
    assert_eq!(routes("vcenter-8.0"), routes("vcenter-8.0u3"));
}

#[test]
fn the_bench_example_touches_no_disk() {
    let config =
        load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/bench.toml")).unwrap();
    assert_eq!(config.state.store, Store::Memory);
    assert_eq!(config.log.access, tidegate::config::AccessLog::Off);
    assert_eq!(config.listen.http, ["127.0.0.1:18081".parse().unwrap()]);
    let address = &config.upstreams[0].address;
    assert_eq!(
        (address.tls, address.host.as_str(), address.port),
        (false, "127.0.0.1", 18080)
    );
}
