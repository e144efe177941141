#include "server/session/specs.h"

#include <algorithm>
#include <vector>

#include "server/coroutine/fingerprint.h"

namespace corod {

std::uint64_t FingerprintOf(const CreateSpec& spec) {
  Fingerprint fingerprint;
  fingerprint.AddText("create").AddText(spec.coroutine).AddNumber(spec.version);
  fingerprint.AddNumber(spec.prime ? 1 : 0).AddNumber(static_cast<std::uint64_t>(spec.durability));
  fingerprint.AddNumber(static_cast<std::uint64_t>(spec.if_exists)).AddNumber(spec.arguments.size());
  std::vector<const Map::Entry*> arguments;  // named, so their order says nothing
  for (const Map::Entry& argument : spec.arguments) arguments.push_back(&argument);
  std::sort(arguments.begin(), arguments.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
  for (const Map::Entry* argument : arguments) fingerprint.AddText(argument->key).Add(argument->value);
  for (const auto& [name, value] : spec.labels) fingerprint.AddText(name).AddText(value);
  fingerprint.AddNumber(spec.idle_timeout ? static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(*spec.idle_timeout)) + 1
                                          : 0);
  fingerprint.AddNumber(static_cast<std::uint64_t>(absl::ToUnixNanos(spec.expire_time)));
  return fingerprint.value();
}

std::uint64_t FingerprintOf(const ForkSpec& spec) {
  Fingerprint fingerprint;
  fingerprint.AddText("fork").AddText(spec.session_id).AddNumber(spec.at_step ? *spec.at_step + 1 : 0);
  for (const auto& [name, value] : spec.labels) fingerprint.AddText(name).AddText(value);
  return fingerprint.value();
}

std::uint64_t FingerprintOf(const ListQuery& query) {
  Fingerprint fingerprint;
  fingerprint.AddText("list")
      .AddText(query.coroutine)
      .AddNumber(query.state ? static_cast<std::uint64_t>(*query.state) + 1 : 0);
  for (const auto& [name, value] : query.labels) fingerprint.AddText(name).AddText(value);
  fingerprint.AddNumber(query.has_problem ? 1 : 0);
  if (query.name_space != kDefaultNamespace) fingerprint.AddText(query.name_space);
  return fingerprint.value();
}

}  // namespace corod
