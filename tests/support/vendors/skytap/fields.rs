//! What an environment and its VMs say of themselves.

use serde_json::{Value, json};

/// A new environment, stopped.
pub(super) fn environment(id: &str, name: &str, vms: &[&str]) -> Value {
    let vm = |id: &&str| {
        let vm =
            json!({"id": id, "name": format!("VM {id}"), "runstate": "stopped", "error": null});
        ((*id).to_owned(), vm)
    };
    let vms: serde_json::Map<String, Value> = vms.iter().map(vm).collect();
    json!({"id": id, "name": name, "runstate": "stopped", "rate_limited": false, "error": null, "vms": vms})
}

/// While an environment is busy, all that is in it is.
pub(super) fn busy(fields: &mut Value) {
    put(fields, None, &json!({"runstate": "busy"}));
}

/// Changes an environment, or one VM of it.
pub(super) fn put(fields: &mut Value, vm: Option<&str>, wanted: &Value) {
    let all = wanted.as_object().cloned().unwrap_or_default();
    for (name, mut value) in all {
        if value == "reset" {
            value = json!("running");
        }
        if vm.is_none() {
            fields[&name] = value.clone();
        }
        let is_for_vms = vm.is_some() || name == "runstate";
        let vms = fields["vms"].as_object_mut().unwrap().iter_mut();
        for (_, each) in vms.filter(|(id, _)| is_for_vms && vm.is_none_or(|vm| vm == *id)) {
            each[&name] = value.clone();
        }
    }
}

/// An environment with its VMs as a list, or one VM of it.
pub(super) fn part(fields: &Value, vm: Option<&str>) -> Value {
    let with_limit = |vm: &Value| {
        let mut vm = vm.clone();
        vm["rate_limited"] = fields["rate_limited"].clone();
        vm
    };
    if let Some(vm) = vm {
        return with_limit(&fields["vms"][vm]);
    }
    let vms = fields["vms"]
        .as_object()
        .into_iter()
        .flat_map(|vms| vms.values());
    let vms: Vec<Value> = vms.map(with_limit).collect();
    let mut whole = fields.clone();
    whole["vms"] = json!(vms);
    whole
}
