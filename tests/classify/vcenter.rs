//! vCenter: every operation that the limits tell from others, in each of its forms.

use tidegate::call::{Class, Operation};

use crate::{is, operation_is, table};

const PROFILES: [&str; 3] = ["vcenter-7.0", "vcenter-8.0", "vcenter-8.0u3"];

/// Class, route (`-`: none, the path tells), request line.
const BY_TARGET: &str = "\
login login-api POST /api/session
login login-rest POST /rest/com/vmware/cis/session
logout logout-api DELETE /api/session
logout logout-rest DELETE /rest/com/vmware/cis/session
task session-read GET /api/session
task session-read-rest POST /rest/com/vmware/cis/session?~action=get
task session-read-rest-get GET /rest/com/vmware/cis/session
task tasks GET /api/cis/tasks/5:com.vmware.vcenter.VM
task tasks GET /api/cis/tasks/5?exclude_result=true
task tasks POST /api/cis/tasks/5?action=cancel
task tasks POST /api/cis/tasks?action=list
task tasks-rest GET /rest/cis/tasks/5
task tasks-rest-old GET /rest/com/vmware/cis/tasks/5
blocking vm-clone POST /api/vcenter/vm?action=clone
blocking vm-clone POST /api/vcenter/vm?action=clone&vmw-task=false
blocking vm-clone-rest POST /rest/vcenter/vm?action=clone
rest vm-clone-native POST /api/vcenter/vm?action=clone&vmw-task=true
rest vm-clone-native POST /api/vcenter/vm?vmw-task=true&action=clone
rest vm-clone-native-rest POST /rest/vcenter/vm?action=clone&vmw-task=true
blocking vm-relocate POST /api/vcenter/vm/vm-11?action=relocate
blocking vm-relocate-rest POST /rest/vcenter/vm/vm-11?action=relocate
rest vm-relocate-native POST /api/vcenter/vm/vm-11?action=relocate&vmw-task=true
rest vm-relocate-native-rest POST /rest/vcenter/vm/v?action=relocate&vmw-task=true
blocking vm-instant-clone POST /api/vcenter/vm?action=instant-clone
blocking vm-instant-clone POST /api/vcenter/vm?action=instant-clone&vmw-task=true
blocking vm-instant-clone-rest POST /rest/vcenter/vm?action=instant-clone
blocking vm-register POST /api/vcenter/vm?action=register
blocking vm-register-rest POST /rest/vcenter/vm?action=register
blocking vm-unregister POST /api/vcenter/vm/vm-11?action=unregister
blocking vm-unregister-rest POST /rest/vcenter/vm/vm-11?action=unregister
blocking vm-delete DELETE /api/vcenter/vm/vm-11
blocking vm-delete-rest DELETE /rest/vcenter/vm/vm-11
blocking depot-offline-delete DELETE /api/esx/settings/depots/offline/4
blocking depot-online-delete DELETE /api/esx/settings/depots/online/4
blocking depot-umds-delete DELETE /api/esx/settings/depots/umds
rest depot-offline-delete-native DELETE /api/esx/settings/depots/offline/4?vmw-task=true
blocking ovf-deploy POST /api/vcenter/ovf/library-item/4?action=deploy
blocking ovf-deploy-rest POST /rest/com/vmware/vcenter/ovf/library-item/id:4?~action=deploy
blocking ovf-capture POST /api/vcenter/ovf/library-item
blocking template-deploy POST /api/vcenter/vm-template/library-items/4?action=deploy
blocking template-deploy-rest POST /rest/vcenter/vm-template/library-items/4?action=deploy
blocking template-check-out POST /api/vcenter/vm-template/library-items/4/check-outs?action=check-out
blocking template-check-in POST /api/vcenter/vm-template/library-items/4/check-outs/vm-1?action=check-in
rest - POST /api/vcenter/vm
rest - GET /api/vcenter/vm?names=clone
rest - POST /api/vcenter/vm/vm-11/power?action=start
rest - POST /api/vcenter/ovf/library-item/4?action=filter
rest - POST /api/esx/settings/clusters/c1/software?action=apply&vmw-task=true
rest content-library GET /api/content/library/item
rest content-library-rest GET /rest/com/vmware/content/library
rest tagging GET /api/cis/tagging/tag/urn%3Avmomi%3AInventoryServiceTag%3A1%3AGLOBAL
rest tagging POST /api/cis/tagging/tag-association?action=attach&vmw-task=true
rest tagging-rest GET /rest/com/vmware/cis/tagging/tag
transfer datastore-files PUT /folder/a/b.vmdk?dcPath=c&dsName=d
transfer library-data PUT /cls/data/4/a.iso
transfer log-bundles GET /appliance/support-bundle/x.tgz
long_poll console GET /ui/webconsole/authd?vmId=1
other - GET /ui/
rest depot-online-delete-native DELETE /api/esx/settings/depots/online/4?vmw-task=true
rest depot-umds-delete-native DELETE /api/esx/settings/depots/umds?vmw-task=true
blocking ovf-capture-rest POST /rest/com/vmware/vcenter/ovf/library-item
blocking template-capture POST /api/vcenter/vm-template/library-items
blocking template-capture-rest POST /rest/vcenter/vm-template/library-items
blocking template-check-out-rest POST /rest/vcenter/vm-template/library-items/4/check-outs?action=check-out
blocking template-check-in-rest POST /rest/vcenter/vm-template/library-items/4/check-outs/vm-1?action=check-in
transfer disks GET /nfc/5/disk-0.vmdk
transfer guest-files PUT /guestFile?id=1&token=x
transfer log-bundles-old GET /vcsa-support
transfer log-bundles-host GET /cgi-bin/vm-support.cgi
long_poll console-old GET /vsphere-client/webconsole/x
long_poll console-ticket GET /ticket/cst-VCT-52f9
login login-json POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/Login
login login-json-token POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/LoginByToken
login login-json-sspi POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/LoginBySSPI
login login-json-extension POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/LoginExtensionByCertificate
login login-json-extension-name POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/LoginExtensionBySubjectName
login login-json-clone POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/CloneSession
logout logout-json POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/Logout
logout terminate-session-json POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/TerminateSession
long_poll wait-for-updates-json POST /sdk/vim25/8.0.1.0/PropertyCollector/propertyCollector/WaitForUpdatesEx
long_poll wait-for-updates-old-json POST /sdk/vim25/8.0.1.0/PropertyCollector/propertyCollector/WaitForUpdates
soap - POST /sdk/vim25/8.0.1.0/VirtualMachine/vm-11/CloneVM_Task
soap - GET /sdk/vimServiceVersions.xml
";

/// Class, route, service and operation of a `POST /api`.
const JSON_RPC: &str = "\
login login-rpc com.vmware.cis.session create
logout logout-rpc com.vmware.cis.session delete
task session-read-rpc com.vmware.cis.session get
task tasks-rpc com.vmware.cis.tasks get
task tasks-rpc com.vmware.cis.tasks list
task tasks-rpc com.vmware.cis.tasks cancel
blocking vm-clone-rpc com.vmware.vcenter.VM clone
rpc - com.vmware.vcenter.VM clone$task
blocking vm-relocate-rpc com.vmware.vcenter.VM relocate
rpc - com.vmware.vcenter.VM relocate$task
blocking vm-instant-clone-rpc com.vmware.vcenter.VM instant_clone
blocking vm-register-rpc com.vmware.vcenter.VM register
blocking vm-unregister-rpc com.vmware.vcenter.VM unregister
blocking vm-delete-rpc com.vmware.vcenter.VM delete
rpc - com.vmware.vcenter.VM list
rpc - com.vmware.vcenter.vm.Power start
blocking depot-umds-delete-rpc com.vmware.esx.settings.depots.umds delete
rpc - com.vmware.esx.settings.depots.umds delete$task
blocking ovf-deploy-rpc com.vmware.vcenter.ovf.library_item deploy
blocking ovf-capture-rpc com.vmware.vcenter.ovf.library_item create
blocking template-deploy-rpc com.vmware.vcenter.vm_template.library_items deploy
blocking template-check-in-rpc com.vmware.vcenter.vm_template.library_items.check_outs check_in
rpc tagging-rpc com.vmware.cis.tagging.tag_association attach
rpc content-library-rpc com.vmware.content.library.item list
rpc - com.vmware.cis.session2 create
blocking depot-offline-delete-rpc com.vmware.esx.settings.depots.offline delete
blocking depot-online-delete-rpc com.vmware.esx.settings.depots.online delete
blocking template-capture-rpc com.vmware.vcenter.vm_template.library_items create
blocking template-check-out-rpc com.vmware.vcenter.vm_template.library_items.check_outs check_out
";

/// Class, route, method element of a `POST /sdk`. SOAP methods hand out tasks by nature: none blocks.
const SOAP: &str = "\
login login-soap Login
login login-soap-token LoginByToken
login login-soap-sspi LoginBySSPI
login login-soap-extension LoginExtensionByCertificate
login login-soap-extension-name LoginExtensionBySubjectName
login login-soap-clone CloneSession
logout logout-soap Logout
logout terminate-session-soap TerminateSession
long_poll wait-for-updates WaitForUpdatesEx
long_poll wait-for-updates-old WaitForUpdates
soap - CheckForUpdates
soap - CancelWaitForUpdates
soap - RetrievePropertiesEx
soap - CloneVM_Task
soap - SessionIsActive
";

/// The rows of a list: class, route and the rest.
fn rows(list: &'static str) -> impl Iterator<Item = (Class, &'static str, &'static str)> {
    list.lines().map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap();
        let (class, route) = (Class::parse(next()).unwrap(), next());
        (class, if route == "-" { "" } else { route }, next())
    })
}

#[test]
fn by_target() {
    for profile in PROFILES {
        let table = table(profile);
        for (class, route, line) in rows(BY_TARGET) {
            is(&table, line, class, route);
        }
    }
}

#[test]
fn json_rpc() {
    for profile in PROFILES {
        let table = table(profile);
        is(&table, "POST /api", Class::Rpc, "");
        for (class, route, said) in rows(JSON_RPC) {
            let (service, name) = said.split_once(' ').unwrap();
            let service = Some(service);
            operation_is(
                &table,
                "POST /api",
                Operation { service, name },
                class,
                route,
            );
        }
    }
}

#[test]
fn soap() {
    for profile in PROFILES {
        let table = table(profile);
        for (class, route, name) in rows(SOAP) {
            let said = Operation {
                service: None,
                name,
            };
            for line in ["POST /sdk", "POST /sdk/", "POST /sdk/vimService"] {
                operation_is(&table, line, said, class, route);
            }
        }
    }
}

#[test]
fn who_asks_for_an_event_stream_gets_out_of_nothing_else() {
    let table = table("vcenter-8.0");
    let mut headers = http::HeaderMap::new();
    headers.insert("accept", "text/event-stream".parse().unwrap());
    for (method, target, class) in [
        ("GET", "/api/vcenter/news", Class::LongPoll),
        ("GET", "/api/cis/tagging/tag", Class::Rest),
        ("POST", "/api/vcenter/vm?action=clone", Class::Blocking),
        ("POST", "/api/session", Class::Login),
        ("POST", "/api/vcenter/vm", Class::Rest),
    ] {
        let asked = table.target(&method.parse().unwrap(), target, &headers);
        assert_eq!(asked.unwrap().class, class, "{method} {target}");
    }
}

#[test]
fn every_route_is_tried_above() {
    let tried: Vec<&str> = [BY_TARGET, JSON_RPC, SOAP]
        .into_iter()
        .flat_map(|list| rows(list).map(|(_, route, _)| route))
        .chain(["event-stream"])
        .collect();
    let table = table("vcenter-8.0");
    for at in 0.. {
        let Some(name) = table.name(at) else { break };
        assert!(tried.contains(&name), "{name}");
    }
    assert_eq!(table.len(), 100);
}
