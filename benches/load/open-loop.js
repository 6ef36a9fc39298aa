// An open-loop load: calls arrive at a fixed rate whether or not earlier ones were answered, as they do from many
// clients that know nothing of each other. A closed loop slows down with the server and hides its queue.
// Settings are environment variables, see README.md.
import http from 'k6/http';
import { Counter, Rate } from 'k6/metrics';

const target = __ENV.TARGET || 'http://127.0.0.1:18081';
const path = __ENV.CALL || '/rest/vcenter/vm';
const rate = Number(__ENV.RATE || 1000);
const seconds = Number(__ENV.SECONDS || 30);
const most = Number(__ENV.MOST_CLIENTS || 500);

const admitted = new Counter('admitted');
const refused = new Counter('refused');
const broken = new Rate('broken');

// A refusal is an answer, not a failure: only what is neither counts against the gate.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 429, 503));

export const options = {
  discardResponseBodies: true,
  insecureSkipTLSVerify: true,
  summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
  scenarios: {
    open: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: Math.min(most, Math.max(10, Math.ceil(rate / 10))),
      maxVUs: most,
    },
  },
  thresholds: {
    broken: ['rate<0.001'],
    // Calls that k6 could not send in time would make the load a closed one.
    dropped_iterations: ['count<=' + Math.ceil(rate * seconds * 0.001)],
  },
};

export default function () {
  const answer = http.get(target + path, { tags: { name: path } });
  const isRefusal = answer.status === 429 || answer.status === 503;
  const limit = answer.headers['Tidegate-Limit'];
  if (isRefusal) {
    refused.add(1, { limit: limit || 'none' });
  } else if (answer.status >= 200 && answer.status < 300) {
    admitted.add(1);
  }
  // A refusal by a limit says when to come back.
  const silent = isRefusal && !answer.headers['Retry-After'];
  broken.add(silent || !(isRefusal || (answer.status >= 200 && answer.status < 300)));
}
