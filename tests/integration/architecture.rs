//! Imports point down, and there is no circle.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From the highest floor to the lowest; a module imports from lower floors, and on the lowest from its neighbours.
const FLOORS: &[&[&str]] = &[
    &["bin/bootstrap", "bin/lambda-local"],
    &["runtime"],
    &["invocation"],
    &["slot"],
    &[
        "runtime_api",
        "secrets",
        "fastcgi/connection",
        "fpm",
        "console",
        "site",
    ],
    &["process"],
    &[
        "failure",
        "event",
        "cgi",
        "fastcgi/record",
        "config",
        "http",
        "log",
    ],
    // shares nothing with the runtime, to stay an honest double of Lambda
    &["local"],
];

/// Each file's own path as a module, and the modules that its code (not its tests) names.
fn imports() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut imports = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let module = entry
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .display()
                .to_string();
            let module = module.strip_suffix("/mod").unwrap_or(&module).to_owned();
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            imports.insert(module, named(code));
        }
    }
    // these two list modules alone, and those of fastcgi are on different floors
    imports.remove("lib");
    imports.remove("fastcgi");
    imports
}

fn named(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for prefix in ["crate::", "php_fpm_lambda::"] {
            for path in line.split(prefix).skip(1) {
                let paths: Vec<&str> = match path.strip_prefix('{') {
                    Some(list) => list.split(", ").collect(),
                    None => vec![path],
                };
                modules.extend(paths.iter().map(|path| module_of(path)));
            }
        }
    }
    modules
}

/// `fastcgi::record::Part` is `fastcgi/record/Part`; the floor decides how much of it is a module.
fn module_of(path: &str) -> String {
    let end = path
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .unwrap_or(path.len());
    path[..end].replace("::", "/")
}

fn floor(module: &str) -> usize {
    let is_in = |place: &str| module == place || module.starts_with(&format!("{place}/"));
    let found = FLOORS
        .iter()
        .position(|floor| floor.iter().any(|place| is_in(place)));
    found.unwrap_or_else(|| panic!("src/{module} has no floor"))
}

fn room(module: &str) -> &'static str {
    let rooms = FLOORS.iter().flat_map(|floor| floor.iter());
    rooms
        .copied()
        .find(|place| module == *place || module.starts_with(&format!("{place}/")))
        .unwrap()
}

#[test]
fn imports_point_down() {
    let pure = FLOORS.len() - 2;
    for (module, imported) in imports() {
        for other in imported.iter().filter(|other| room(other) != room(&module)) {
            let (from, to) = (floor(&module), floor(other));
            assert!(
                from < to || (from == pure && to == pure),
                "src/{module} imports {other}"
            );
            assert!(
                room(other) != "local" || module == "bin/lambda-local",
                "src/{module} imports {other}"
            );
        }
    }
}

#[test]
fn there_is_no_circle_of_files() {
    let imports = imports();
    let file_of = |path: &str| {
        let mut path = path.to_owned();
        while !imports.contains_key(&path) {
            path.truncate(path.rfind('/')?);
        }
        Some(path)
    };
    let mut order: BTreeMap<String, Vec<String>> = imports
        .iter()
        .map(|(module, others)| {
            (
                module.clone(),
                others
                    .iter()
                    .filter_map(|o| file_of(o))
                    .filter(|o| o != module)
                    .collect(),
            )
        })
        .collect();
    while !order.is_empty() {
        let free: Vec<String> = order
            .iter()
            .filter(|(_, others)| others.is_empty())
            .map(|(m, _)| m.clone())
            .collect();
        assert!(!free.is_empty(), "a circle among {order:?}");
        order.retain(|module, _| !free.contains(module));
        order
            .values_mut()
            .for_each(|others| others.retain(|other| !free.contains(other)));
    }
}

#[test]
fn the_lowest_floor_knows_no_sockets_no_environment_and_no_tokio() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, _) in imports()
        .into_iter()
        .filter(|(module, _)| floor(module) == FLOORS.len() - 2)
    {
        let file = [format!("{module}.rs"), format!("{module}/mod.rs")].map(|name| root.join(name));
        let text = file
            .iter()
            .find_map(|file| fs::read_to_string(file).ok())
            .unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for forbidden in [
            "tokio",
            "std::net::Tcp",
            "std::env::",
            "Instant::now",
            "std::fs",
            "std::process",
        ] {
            assert!(!code.contains(forbidden), "src/{module} uses {forbidden}");
        }
    }
}

#[test]
fn the_runtime_calls_nobody_but_the_runtime_api_and_the_extension_for_secrets() {
    // no telemetry: these two addresses, both of the sandbox's own, are all that leaves the process
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut addresses = 0;
    for module in imports().into_keys() {
        if room(&module) == "local" || module == "bin/lambda-local" {
            continue;
        }
        let file = [format!("{module}.rs"), format!("{module}/mod.rs")].map(|name| root.join(name));
        let text = file.iter().find_map(|file| fs::read_to_string(file).ok());
        let text = text.unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code: Vec<&str> = code.lines().filter(is_code).collect();
        let code = code.join("\n");
        addresses += code.matches("://").count();
        for network in ["reqwest::Client", "reqwest::get", "TcpStream", "UdpSocket"] {
            assert!(
                ["runtime_api", "secrets"].contains(&room(&module)) || !code.contains(network),
                "src/{module} uses {network}"
            );
        }
    }
    assert_eq!(addresses, 2, "the Runtime API's and the extension's");
}
