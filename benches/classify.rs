//! What a call is, by the whole route table of vCenter 8.0: calls as they come and as they are
//! twisted. `cargo bench --bench classify`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop where it stands"
)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use tidegate::call::{Dialect, Operation};
use tidegate::classify::{Pattern, Table};

mod quick;

const TARGETS: [(&str, Method, &str); 10] = [
    ("REST", Method::GET, "/api/vcenter/vm"),
    (
        "REST with query",
        Method::GET,
        "/api/vcenter/vm?names=web-01&power_states=POWERED_ON",
    ),
    (
        "REST, no route near",
        Method::GET,
        "/api/appliance/health/system",
    ),
    ("blocking", Method::POST, "/api/vcenter/vm?action=clone"),
    (
        "native task",
        Method::POST,
        "/api/vcenter/vm?action=clone&vmw-task=true",
    ),
    (
        "transfer",
        Method::GET,
        "/folder/vm%20one/disk-flat.vmdk?dcPath=dc1&dsName=store",
    ),
    ("odd path", Method::GET, "/x/../%61pi/v%63enter/./vm"),
    (
        "odd query",
        Method::POST,
        "/api/vcenter/vm?ACTION=x&action=cl%6Fne&vmw-task=false&vmw-task=true",
    ),
    ("another case", Method::POST, "/API/vCenter/VM?action=clone"),
    ("long query", Method::GET, LONG),
];

const LONG: &str = "/api/vcenter/vm?vms=vm-1&vms=vm-2&vms=vm-3&vms=vm-4&vms=vm-5&vms=vm-6&vms=vm-7&\
     vms=vm-8&vms=vm-9&hosts=host-1&hosts=host-2&hosts=host-3&clusters=domain-c1&folders=group-v1";

const OPERATIONS: [(&str, &str, Operation<'_>); 4] = [
    ("RPC", "/api", rpc("com.vmware.vcenter.VM", "list")),
    (
        "RPC, blocking",
        "/api",
        rpc("com.vmware.vcenter.VM", "clone"),
    ),
    ("SOAP", "/sdk", soap("RetrievePropertiesEx")),
    ("SOAP, long poll", "/sdk", soap("WaitForUpdatesEx")),
];

const fn rpc(service: &'static str, name: &'static str) -> Operation<'static> {
    Operation {
        service: Some(service),
        name,
    }
}

const fn soap(name: &'static str) -> Operation<'static> {
    Operation {
        service: None,
        name,
    }
}

/// The fields of a call by a script.
fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("host", "vcenter.example"),
        ("user-agent", "python-requests/2.31"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/json"),
        ("vmware-api-session-id", "b00db39f948d13ea1e59b4d6fce56389"),
    ] {
        fields.insert(name, value.parse().unwrap());
    }
    fields
}

fn calls(c: &mut Criterion) {
    let text = "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"vcenter-8.0\"";
    let config = tidegate::config::parse(text, Path::new(".")).unwrap();
    let table = Table::new(Dialect::Vcenter, &config.upstreams[0].routes);
    println!("vcenter-8.0: {} routes", table.len());
    let headers = fields();
    let mut group = c.benchmark_group("classify");
    for (name, method, target) in TARGETS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(table.target(&method, black_box(target), &headers)));
        });
    }
    for (name, target, operation) in OPERATIONS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let asked = table.target(&Method::POST, black_box(target), &headers);
                let asked = asked.unwrap();
                black_box(table.operation(asked, &Method::POST, &headers, black_box(operation)))
            });
        });
    }
    let pattern = Pattern::new("/api/vcenter/vm/*/power").unwrap();
    group.bench_function("pattern", |bencher| {
        let path = black_box("/api/vcenter/vm/vm-42/power");
        bencher.iter(|| black_box(pattern.matches(path)));
    });
    group.finish();
}

criterion_group! { name = benches; config = quick::quick(); targets = calls }
criterion_main!(benches);
