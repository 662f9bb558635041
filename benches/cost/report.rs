//! The figures as tables for people and as JSON for machines.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bootstrap::Setup;
use crate::clients;
use crate::cold::{self, TOLERATED_PART};
use crate::init::Init;
use crate::memory::Memory;
use crate::php_fpm;
use crate::slots;
use crate::stream::{Stream, Way};
use crate::targets::Target;
use crate::warm;

/// Prints as it goes, and keeps what was printed for the file.
pub struct Report {
    json: Value,
    /// Whether the function's files are looked up slowly here, in what is measured and in its floors.
    pub is_on_fuse: bool,
}

impl Report {
    pub fn new(setup: &Setup) -> Report {
        let php = php_fpm::version(&setup.php_fpm.program);
        let size = fs::metadata(&setup.program)
            .expect("cargo has built it")
            .len();
        let is_static = is_static(&fs::read(&setup.program).expect("it can be read"));
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map(|(_, m)| m);
        let cpus = std::thread::available_parallelism().map_or(0, |cpus| cpus.get());
        let model = model.unwrap_or("unknown processor");
        let linking = if is_static {
            "static"
        } else {
            "dynamic: not as it ships"
        };
        println!(
            "php-fpm-lambda {}, {size} bytes, {linking}; {php}; {cpus} x {model}",
            env!("CARGO_PKG_VERSION")
        );
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        println!(
            "load of the machine before: {load} (what else it does makes everything here slower)"
        );
        let is_on_fuse = is_fuse(&setup.task_root);
        if is_on_fuse {
            println!(
                "the functions lie on a FUSE file system: every path that PHP looks up asks a daemon, in the floors as well"
            );
        }
        let json = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "bootstrap_bytes": size,
            "is_static": is_static,
            "php": php,
            "cpus": cpus,
            "cpu_model": model,
            "load_before": load,
            "is_on_fuse": is_on_fuse,
        });
        Report { json, is_on_fuse }
    }

    pub fn warm(&mut self, rows: &[warm::Row]) {
        self.json["warm_us"] = json!(rows);
        let times = rows.iter().map(|row| {
            let numbers = [
                row.p50,
                row.p95,
                row.until_next_p50,
                row.fastcgi_p50,
                row.fastcgi_p95,
                row.wire_p50,
                row.wire_p95,
            ];
            line(
                row.name,
                numbers
                    .map(short)
                    .into_iter()
                    .chain([format!("{:.2}", row.ratio)]),
            )
        });
        let names = [
            "p50",
            "p95",
            "until next",
            "FastCGI",
            "p95",
            "wire",
            "p95",
            "p50/floors",
        ];
        table(
            "Warm invocation, µs; floors: FastCGI alone, the wire of the Runtime API alone",
            &names,
            times,
        );
        let cpu = rows.iter().map(|row| {
            let numbers = [
                row.bootstrap_cpu,
                row.worker_cpu,
                row.master_cpu,
                row.fastcgi_worker_cpu,
                row.fastcgi_master_cpu,
                row.wire_client_cpu,
            ];
            line(row.name, numbers.map(short))
        });
        let names = [
            "bootstrap",
            "worker",
            "master",
            "FastCGI: worker",
            "master",
            "wire: client",
        ];
        table(
            "CPU of a warm invocation, µs, and of its floors",
            &names,
            cpu,
        );
    }

    pub fn stream(&mut self, stream: &Stream) {
        self.json["stream_us"] = json!(stream);
        let way = |name: &str, way: &Way| {
            let numbers = [
                way.first_byte_p50,
                way.first_byte_p95,
                way.piece_p50,
                way.piece_p95,
                way.megabytes_a_second,
            ];
            line(name, numbers.map(short))
        };
        let rows = [
            way("bootstrap", &stream.bootstrap),
            way("FastCGI alone", &stream.fastcgi),
            line(
                "what is added, and the ratio",
                [
                    short(stream.first_byte_overhead),
                    String::new(),
                    short(stream.piece_overhead),
                    String::new(),
                    format!("{:.2}", stream.throughput_ratio),
                ],
            ),
        ];
        table(
            "Streamed answers, µs: to the first byte, and from PHP's flush to the reader; 200 MiB",
            &["first byte", "p95", "piece", "p95", "MB/s"],
            rows,
        );
        println!("  peak RSS of the bootstrap: {} KiB", stream.peak_kib);
    }

    pub fn slots(&mut self, rows: &[slots::Row]) {
        self.json["slots_per_second"] = json!(rows);
        let lines = rows.iter().map(|row| {
            let numbers = [row.bootstrap, row.fastcgi].map(short);
            let ratio = format!("{:.2}", row.ratio);
            line(
                &format!("{} at once", row.slots),
                numbers.into_iter().chain([ratio]),
            )
        });
        table(
            "Hello world in several slots, invocations a second",
            &["bootstrap", "FastCGI alone", "ratio"],
            lines,
        );
    }

    pub fn init(&mut self, init: &Init) {
        self.json["init_us"] = json!(init);
        let rows = [
            line(
                "exec of bootstrap to its first /next",
                [short(init.bootstrap_p50), short(init.bootstrap_p95)],
            ),
            line(
                "exec of php-fpm alone to its first ping",
                [short(init.php_fpm_p50), short(init.php_fpm_p95)],
            ),
            line(
                "our share, its quartiles",
                [short(init.own_share_p25), short(init.own_share_p75)],
            ),
            line("our share", [short(init.own_share)]),
            line(
                "exec of bootstrap to /init/error, no php-fpm",
                [short(init.without_php_fpm_p50)],
            ),
        ];
        table(
            &format!("Init, µs, {} starts each", init.starts),
            &["p50", "p95"],
            rows,
        );
    }

    pub fn memory(&mut self, memory: &[Memory]) {
        self.json["memory"] = json!(memory);
        let rows = memory.iter().map(|row| {
            let is = row.is;
            let numbers = [
                is.rss_kib,
                is.pss_kib,
                is.private_kib,
                is.anonymous_kib,
                is.peak_kib,
            ];
            line(
                &format!("{} x {}", row.invocations, row.name),
                numbers.map(|number| number.to_string()),
            )
        });
        table(
            "Memory of the bootstrap, KiB",
            &["RSS", "PSS", "private", "anonymous", "peak RSS"],
            rows,
        );
    }

    pub fn clients(&mut self, clients: &[clients::Row]) {
        self.json["fastcgi_clients_us"] = json!(clients);
        let rows = clients.iter().map(|row| {
            line(
                &format!("{}: {}", row.name, row.client),
                [row.p50, row.p95, row.cpu].map(short),
            )
        });
        table(
            "FastCGI clients, µs a request",
            &["p50", "p95", "CPU"],
            rows,
        );
    }

    /// A line for each kind of start, a pair of columns for each php-fpm.
    pub fn cold(&mut self, rows: &[cold::Row]) {
        self.json["cold_us"] = json!(rows);
        let kind = |row: &cold::Row| {
            (
                row.function.clone(),
                row.cpu_percent,
                row.is_page_cache_warm,
            )
        };
        let (mut kinds, mut phps) = (Vec::new(), Vec::new());
        for row in rows {
            if !kinds.contains(&kind(row)) {
                kinds.push(kind(row));
            }
            if !phps.contains(&row.php) {
                phps.push(row.php.clone());
            }
        }
        let lines = kinds.iter().map(|wanted| {
            let (function, cpu_percent, is_page_cache_warm) = wanted;
            let page_cache = match is_page_cache_warm {
                true => "warm",
                false => "evicted",
            };
            let cells = phps.iter().flat_map(|php| {
                let row = rows
                    .iter()
                    .find(|row| row.php == *php && kind(row) == *wanted);
                let cell = |number: fn(&cold::Row) -> f64| {
                    row.map_or("–".into(), |row| millis(number(row)))
                };
                [cell(|row| row.next_p50), cell(|row| row.first_answer_p50)]
            });
            line(
                &format!("{function}, page cache {page_cache}, {cpu_percent} % of a processor"),
                cells,
            )
        });
        let names: Vec<String> = phps
            .iter()
            .flat_map(|php| [format!("{php}: /next"), "answer".into()])
            .collect();
        table(
            "Cold start, ms: medians from exec of the bootstrap to its first /next and to the first answer",
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
            lines,
        );
        for row in rows {
            let of = format!("{}, {}", row.php, row.function);
            if row.php == cold::PRIMED && row.compiled.is_some_and(|compiled| compiled > 0) {
                println!(
                    "  {of}: the primed cache was not used, {} files were compiled",
                    row.compiled.unwrap_or_default()
                );
            }
            match row.left_part {
                Some(part) if part > TOLERATED_PART => println!(
                    "  {of}: {:.0} % of {} MB stayed in the page cache, so that \"evicted\" says too little",
                    part * 100.0,
                    row.evicted_bytes / 1_000_000
                ),
                None if !row.is_page_cache_warm => println!(
                    "  {of}: the kernel does not tell whether the page cache was emptied: the files are somebody else's"
                ),
                _ => {}
            }
        }
    }

    pub fn targets(&mut self, targets: &[Target]) {
        self.json["targets"] = json!(targets);
        let rows = targets.iter().map(|target| {
            let limit = format!("<= {} {}", target.limit, target.unit);
            line(
                &target.name,
                [
                    limit,
                    format!("{:.2}", target.measured),
                    target.verdict.name().to_owned(),
                ],
            )
        });
        table("Targets", &["target", "measured", ""], rows);
    }

    /// Where `BENCH_JSON` says, if it does.
    pub fn write_json(&self) {
        if let Some(path) = std::env::var_os("BENCH_JSON") {
            let text = serde_json::to_string_pretty(&self.json)
                .expect("numbers and strings have a JSON form");
            fs::write(&path, text + "\n").unwrap_or_else(|error| panic!("{path:?}: {error}"));
        }
    }
}

fn line(name: &str, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(cells).collect()
}

/// Three digits that mean something are enough for people.
fn short(number: f64) -> String {
    if number < 100.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

/// Microseconds as milliseconds.
fn millis(micros: f64) -> String {
    short(micros / 1000.0)
}

fn table(title: &str, names: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> =
        std::iter::once(line("", names.iter().map(|name| name.to_string())))
            .chain(rows)
            .collect();
    let len = |text: &String| text.chars().count();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column).map(len))
            .max()
            .unwrap_or(0)
    };
    println!("\n{title}");
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("  {cell:<0$}", width(0)),
            _ => format!("  {cell:>0$}", width(column)),
        });
        println!("{}", cells.collect::<String>().trim_end());
    }
}

/// Docker's fuse-overlayfs is one: it doubles the time of a small request.
fn is_fuse(path: &Path) -> bool {
    const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;
    rustix::fs::statfs(path).is_ok_and(|statfs| statfs.f_type == FUSE_SUPER_MAGIC)
}

/// Whether an ELF program (64 bits, little-endian) asks for no loader: it has no PT_INTERP.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, len: usize| {
        elf[at..at + len]
            .iter()
            .rev()
            .fold(0, |sum, &byte| (sum << 8) | usize::from(byte))
    };
    let (table, entry_len, entries) = (number(32, 8), number(54, 2), number(56, 2));
    (0..entries).all(|entry| number(table + entry * entry_len, 4) != 3)
}
