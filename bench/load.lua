-- wrk's part: sends the request that bench/load.py has put into two files, and prints the outcome on one line.

local folder = os.getenv("BENCH_LOAD")

wrk.method = "POST"
wrk.body = assert(io.open(folder .. "/body", "rb")):read("*a")
for line in io.lines(folder .. "/headers") do
  local name, value = line:match("^([^:]+): (.*)$")
  wrk.headers[name] = value
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "bench requests=%d microseconds=%d statuses=%d sockets=%d timeouts=%d p50=%d p99=%d\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
