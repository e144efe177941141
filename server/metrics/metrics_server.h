#ifndef COROD_SERVER_METRICS_METRICS_SERVER_H_
#define COROD_SERVER_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace corod::metrics {

// Serves the metrics over HTTP, under /metrics, until it is destroyed. Whoever reaches the address can read them.
class MetricsServer {
 public:
  // `address`: HOST:PORT, [HOST]:PORT for IPv6; port 0: any that is free. It listens there and nowhere else. In one
  // line, kInvalidArgument: that is no address; kUnavailable: it cannot listen there, and why. `metrics` must stay
  // longer than this.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& address, const Metrics& metrics);
  // Waits for requests that are being answered.
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const;

 private:
  class Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_METRICS_SERVER_H_
