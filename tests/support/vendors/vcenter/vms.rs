//! VMs of a vCenter, and the calls that make, move and remove them: blocking, or as tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::works::{Effect, Order};
use super::super::{Ending, Reply, Request};
use super::{VCenter, action, words};

#[derive(Debug, Clone)]
struct Vm {
    name: String,
    folder: String,
}

/// What VMs there are, and which names are taken by clones under way.
#[derive(Debug)]
pub(super) struct Inventory {
    vms: BTreeMap<String, Vm>,
    reserved: BTreeSet<(String, String)>,
    next: u64,
}

impl Inventory {
    pub(super) fn with(id: &str, name: &str) -> Self {
        let mut inventory = Self {
            vms: BTreeMap::new(),
            reserved: BTreeSet::new(),
            next: 12,
        };
        inventory.add(id, name, "group-v3");
        inventory
    }

    pub(super) fn add(&mut self, id: &str, name: &str, folder: &str) {
        let vm = Vm {
            name: name.to_owned(),
            folder: folder.to_owned(),
        };
        self.vms.insert(id.to_owned(), vm);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.vms.values().map(|vm| vm.name.clone()).collect()
    }

    fn is_taken(&self, name: &str, folder: &str) -> bool {
        let is_there = |vm: &Vm| vm.name == name && vm.folder == folder;
        let key = (folder.to_owned(), name.to_owned());
        self.vms.values().any(is_there) || self.reserved.contains(&key)
    }

    fn make(&mut self, name: &str, folder: &str) -> String {
        let id = loop {
            let id = format!("vm-{}", self.next);
            self.next += 1;
            if !self.vms.contains_key(&id) {
                break id;
            }
        };
        self.add(&id, name, folder);
        id
    }
}

/// A name that a clone under way has taken; free again once this is dropped.
struct Reserved {
    inventory: Arc<Mutex<Inventory>>,
    key: (String, String),
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.inventory.lock().unwrap().reserved.remove(&self.key);
    }
}

/// A call that takes long.
pub(super) struct Call {
    /// `clone`, `relocate`, …
    pub(super) operation: String,
    vm: Option<String>,
    /// It asks for the form that answers at once.
    pub(super) is_task: bool,
}

impl Call {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
        let action = action(request);
        let (operation, vm) = match (&*request.method, &*segments, &*action) {
            ("POST", ["vcenter", "vm"], "clone" | "instant-clone" | "register") => (action, None),
            ("POST", ["vcenter", "vm", vm], "relocate" | "unregister") => (action, Some(*vm)),
            ("DELETE", ["vcenter", "vm", vm], _) => ("delete".to_owned(), Some(*vm)),
            _ => return None,
        };
        Some(Self {
            operation,
            vm: vm.map(str::to_owned),
            is_task: request.parameter("vmw-task").is_some(),
        })
    }
}

impl VCenter {
    /// `GET …/vm?names=…`.
    pub(super) fn find(&self, request: &Request) -> Reply {
        let parameters = request.parameters().into_iter();
        let names: Vec<String> = parameters
            .filter(|(name, _)| name == "names" || name.starts_with("filter.names"))
            .map(|(_, value)| value)
            .collect();
        let inventory = self.inventory.lock().unwrap();
        let wanted = |vm: &Vm| names.is_empty() || names.contains(&vm.name);
        let found = inventory.vms.iter().filter(|(_, vm)| wanted(vm));
        let found = found.map(|(id, vm)| {
            json!({"vm": id, "name": vm.name, "power_state": "POWERED_OFF",
                   "cpu_count": 1, "memory_size_MiB": 1024})
        });
        let found: Vec<Value> = found.collect();
        words::value(request, 200, &json!(found).to_string())
    }

    pub(super) fn one(&self, request: &Request, id: &str) -> Reply {
        let inventory = self.inventory.lock().unwrap();
        match inventory.vms.get(id) {
            Some(vm) => {
                let about = json!({"name": vm.name, "power_state": "POWERED_OFF"});
                words::value(request, 200, &about.to_string())
            }
            None => words::not_found(request, id),
        }
    }

    pub(super) async fn operate(&self, request: &Request, call: Call, user: String) -> Reply {
        let has_twin = self.twins.lock().unwrap().contains(&call.operation);
        if call.is_task && !has_twin {
            return words::no_route(request);
        }
        let (target, effect) = match self.prepared(request, &call) {
            Ok(prepared) => prepared,
            Err(reply) => return *reply,
        };
        let id = self.name_of(call.is_task);
        let gauge = (!call.is_task).then_some("blocking");
        let order = Order {
            id: id.clone(),
            label: call.operation,
            target,
            user,
            gauge,
            effect,
        };
        if call.is_task {
            self.works.start(order);
            return words::value(request, 202, &json!(id).to_string());
        }
        if !self.sits_down(order) {
            return words::unavailable(request, 503);
        }
        match self.works.end_of(&id).await {
            Ending::Done(Value::Null) => words::nothing(request),
            Ending::Done(result) => words::value(request, 200, &result.to_string()),
            Ending::Partial(errors) => words::value(request, 200, &words::batch(&errors)),
            ending => words::failed(request, &ending),
        }
    }

    /// Tasks have a service in their names; blocking calls are no tasks that anybody could ask after.
    fn name_of(&self, is_task: bool) -> String {
        if !is_task {
            return format!("call-{}", self.works.number());
        }
        let service = "com.vmware.vcenter.VM";
        let name = |number| format!("52f9f1b0-160a-25fe-fd1e-{number:012x}:{service}");
        self.works.name(name)
    }

    /// Starts a blocking call, if there is a seat for it.
    fn sits_down(&self, order: Order) -> bool {
        let _door = self.door.lock().unwrap();
        let seats = self.seats.load(Ordering::SeqCst);
        if self.books.now("blocking") >= seats {
            self.books.violated(format!(
                "{} of {} beyond {seats} blocking seats",
                order.label, order.target
            ));
            return false;
        }
        self.works.start(order);
        true
    }

    /// What a call is about, and what it will do; or what is wrong with it.
    fn prepared(&self, request: &Request, call: &Call) -> Result<(String, Effect), Box<Reply>> {
        let body = request.json();
        let spec = body.get("spec").unwrap_or(&body);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let source = text(&spec["source"]);
        let target = call.vm.clone().or_else(|| source.clone());
        let is_known = |vm: &String| self.inventory.lock().unwrap().vms.contains_key(vm);
        if let Some(unknown) = target.as_ref().filter(|vm| !is_known(vm)) {
            return Err(Box::new(words::not_found(request, unknown)));
        }
        if let Some(vm) = call.vm.clone() {
            let effect = self.change(&call.operation, vm.clone());
            return Ok((vm, effect));
        }
        if source.is_none() && call.operation != "register" {
            return Err(Box::new(words::invalid(request, "source is missing")));
        }
        let name = text(&spec["name"]);
        let name = name.ok_or_else(|| Box::new(words::invalid(request, "name is missing")))?;
        let folder = text(&spec["placement"]["folder"]);
        let folder = folder.unwrap_or_else(|| "group-v3".to_owned());
        let target = source.unwrap_or_else(|| name.clone());
        match self.make(&call.operation, &name, &folder) {
            Some(effect) => Ok((target, effect)),
            None => {
                let word = "ALREADY_EXISTS";
                let text = format!("The name '{name}' already exists.");
                let id = "com.vmware.vim.fault.DuplicateName";
                Err(Box::new(words::error(request, 400, word, id, &text)))
            }
        }
    }

    /// The effect of making a VM; `None` where the name is taken.
    fn make(&self, operation: &str, name: &str, folder: &str) -> Option<Effect> {
        let (name, folder) = (name.to_owned(), folder.to_owned());
        let mut inventory = self.inventory.lock().unwrap();
        let is_unique = self.names_are_unique.load(Ordering::SeqCst);
        if is_unique && inventory.is_taken(&name, &folder) {
            return None;
        }
        let key = (folder.clone(), name.clone());
        inventory.reserved.insert(key.clone());
        drop(inventory);
        let inventory = self.inventory.clone();
        let reserved = Reserved {
            inventory: inventory.clone(),
            key,
        };
        let (books, what) = (self.books.clone(), format!("{operation} {name}"));
        Some(Box::new(move || {
            let _until_it_is_there = reserved;
            books.effect(&what);
            let made = inventory.lock().unwrap().make(&name, &folder);
            Ok(json!(made))
        }))
    }

    /// The effect of a change to a VM that is there.
    fn change(&self, operation: &str, vm: String) -> Effect {
        let (books, inventory) = (self.books.clone(), self.inventory.clone());
        let (what, removes) = (format!("{operation} {vm}"), operation != "relocate");
        Box::new(move || {
            let mut inventory = inventory.lock().unwrap();
            if !inventory.vms.contains_key(&vm) {
                return Err(Ending::failed("NOT_FOUND", &format!("{vm} is gone.")));
            }
            books.effect(&what);
            if removes {
                inventory.vms.remove(&vm);
            }
            Ok(Value::Null)
        })
    }

    /// An operation on many objects, which answers 200 whatever came of it. No tag fits `missing`.
    pub(super) fn tag(&self, request: &Request, tag: &str) -> Reply {
        let body = request.json();
        let objects = body["object_ids"].as_array().cloned().unwrap_or_default();
        let ids = objects
            .iter()
            .map(|object| object["id"].as_str().unwrap_or("missing"));
        let (bad, good): (Vec<&str>, Vec<&str>) = ids.partition(|id| *id == "missing");
        for id in good {
            self.books.effect(&format!("tag {tag} on {id}"));
        }
        let errors: Vec<String> = bad.iter().map(|id| format!("{id} is no object")).collect();
        words::value(request, 200, &words::batch(&errors))
    }
}
