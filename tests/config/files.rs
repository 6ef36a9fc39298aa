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
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_documented_file_and_every_example_load() {
    let mut names = Vec::new();
    // The OpenAPI document beside it is held to the task API by tests/task_api.
    let own = files("")
        .into_iter()
        .filter(|file| !file.ends_with("openapi.json"));
    for file in own.chain(files("examples")) {
        let text = fs::read_to_string(&file).unwrap();
        if is_dialect(&file) {
            continue;
        }
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
        "dna-center",
        "minimal",
        "nsx",
        "skytap",
        "own-tasks",
        "tasks",
        "tuned",
        "two-vcenters",
        "vcenter",
        "waiting",
    ];
    assert_eq!(names[0], "tidegate");
    assert!(
        examples
            .iter()
            .all(|name| names.iter().any(|have| have == name)),
        "{names:?}"
    );
}

/// A file that others take in, and that is no configuration by itself.
fn is_dialect(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name == "dialect.toml" || name.ends_with(".dialect.toml")
}

#[test]
fn every_dialect_of_an_example_is_short_and_taken_in() {
    let dialects: Vec<_> = files("examples")
        .into_iter()
        .filter(|file| is_dialect(file))
        .collect();
    assert!(!dialects.is_empty());
    for file in dialects {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# ") && text.lines().count() < 40,
            "{}",
            file.display()
        );
        let example = file.to_str().unwrap().replace(".dialect.toml", ".toml");
        let config = load(Path::new(&example)).unwrap();
        assert!(!config.upstreams[0].adapters.is_empty(), "{example}");
    }
}

#[test]
fn every_dialect_loads_by_its_name_and_as_a_file() {
    let dialects = files("dialects");
    assert_eq!(dialects.len(), 7, "{dialects:?}");
    for file in dialects {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let with = |line: &str| {
            let text = format!("[[upstream]]\naddress = \"https://a.example\"\n{line}");
            good(&text).upstreams.remove(0).adapters
        };
        let built_in = with(&format!("adapters = [\"{name}\"]"));
        assert_eq!(
            built_in,
            with(&format!(
                "dialect_files = [\"config/dialects/{name}.toml\"]"
            ))
        );
        let named =
            |adapter: &tidegate::config::Adapter| adapter.name.starts_with(&format!("{name}/"));
        assert!(!built_in.is_empty() && built_in.iter().all(named), "{name}");
    }
}

#[test]
fn there_is_no_file_that_no_test_loads() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let folders: Vec<_> = fs::read_dir(&config)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    for folder in &folders {
        // The last two are asked of a live Prometheus in tests/dashboards, all files of them.
        let ending = match &**folder {
            "dialects" | "examples" | "profiles" => "toml",
            "grafana" => "json",
            "prometheus" => "yml",
            _ => panic!("nobody loads config/{folder}"),
        };
        for entry in fs::read_dir(config.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let fits = path.is_file() && path.extension().is_some_and(|end| end == ending);
            assert!(fits, "nobody loads {}", path.display());
        }
    }
    assert_eq!(folders.len(), 5, "{folders:?}");
}

#[test]
fn dashboards_parse_and_rules_say_whom_they_are_for() {
    for file in files("grafana") {
        let text = fs::read_to_string(&file).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let told = json["title"].is_string() && json["description"].is_string();
        assert!(told && json["panels"].is_array(), "{}", file.display());
    }
    for file in files("prometheus") {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# For "), "{}", file.display());
        assert!(text.contains("\ngroups:\n"), "{}", file.display());
    }
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
