//! What `tidegate demo` prints: six commands to try, and what each will show.

use super::Places;

/// The text, with the addresses of this run.
#[must_use]
pub fn what_to_try(places: &Places) -> String {
    let Places {
        http, https, admin, ..
    } = places;
    format!(
        r#"tidegate demo: a gate with the limits of a vCenter 8.0, before a built-in imitation of one.
The rate is set to 20 requests a second, 10 back to back, so that you can meet it. Ctrl-C stops it.

  gate      https://{https}  (self-made certificate)   http://{http}
  live page http://{admin}/
  metrics   http://{admin}/metrics

Six things to try in another terminal:

1. Log in, as anybody. Shows a session id in quotes, as a vCenter answers.

   TOKEN=$(curl -sk -u 'administrator@vsphere.local:any' -X POST https://{https}/api/session | tr -d '"'); echo "$TOKEN"

2. List the virtual machines. Shows three of them as JSON.

   curl -sk -H "vmware-api-session-id: $TOKEN" https://{https}/api/vcenter/vm; echo

3. Ask forty times in a row. Shows 40 answers with 200: a call over the rate waits its turn. Then the same as a client
   that will not wait: what is over the rate is 429, with Retry-After and the name of the limit that refused it.

   for wait in 30 0; do curl -sk -H "vmware-api-session-id: $TOKEN" -H "Prefer: wait=$wait" \
     -o /dev/null -D - "https://{https}/api/vcenter/vm?n=[1-40]" \
     | tr -d '\r' | grep -iE '^(HTTP/|retry-after|tidegate-limit)' | sort | uniq -c; done

4. A second later, clone a machine, which blocks for 8 seconds, and look at the sockets meanwhile. Shows one
   open to vc1, not idle; then the id of the new machine.

   sleep 1; curl -sk -H "vmware-api-session-id: $TOKEN" -H 'Content-Type: application/json' \
     -d '{{"source":"vm-11","name":"web-04"}}' "https://{https}/api/vcenter/vm?action=clone" & \
     sleep 2; curl -s http://{admin}/connections; echo; wait; echo

5. Clone another one as a task: 202 at once, and the gate does the call though you hang up. Shows the task's address; some
   seconds later how it ended; then its result, the vCenter's own answer.

   TASK=$(curl -sk -H "vmware-api-session-id: $TOKEN" -H 'Content-Type: application/json' \
     -H 'Prefer: respond-async' -d '{{"source":"vm-11","name":"web-05"}}' -o /dev/null -w '%header{{location}}' \
     --url "https://{https}/api/vcenter/vm?action=clone"); echo "$TASK"
   curl -sk -H "vmware-api-session-id: $TOKEN" -H 'Prefer: wait=30' "https://{https}$TASK"; echo
   curl -sk -H "vmware-api-session-id: $TOKEN" "https://{https}$TASK/result"; echo

6. See what the limits counted. Shows how full each one is, and how many calls the rate refused above, by reason.

   curl -s http://{admin}/limits; echo; curl -s http://{admin}/metrics | grep 'limit_refused_total.*request_rate'

"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::path::PathBuf;

    #[test]
    fn six_commands_with_the_addresses_of_this_run() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = what_to_try(&Places::usual(upstream, PathBuf::new(), PathBuf::new()));
        for number in 1..=6 {
            assert!(
                text.lines()
                    .any(|line| line.starts_with(&format!("{number}. "))),
                "{number}"
            );
        }
        assert!(text.contains(" -X POST https://127.0.0.1:8443/api/session "));
        assert!(text.contains("curl -s http://127.0.0.1:9900/limits;"));
        assert!(text.contains(r#"-d '{"source":"vm-11","name":"web-04"}'"#));
        assert!(
            text.lines().all(|line| line.chars().count() <= 130),
            "lines fit a terminal"
        );
    }
}
