#ifndef COROD_SERVER_METRICS_EXPOSITION_H_
#define COROD_SERVER_METRICS_EXPOSITION_H_

#include <string>
#include <vector>

#include "server/metrics/metrics.h"

namespace prometheus {
struct MetricFamily;
}  // namespace prometheus

namespace corod::metrics {

// All that docs/metrics.md names, as it stands. A family without samples is there, too, so that its help and its type
// are.
std::vector<prometheus::MetricFamily> Collect(const Metrics& metrics);

// The same in Prometheus' text format.
std::string ToText(const Metrics& metrics);

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_EXPOSITION_H_
