// The --keep-... options of 'archive forget' and 'volume policy': which of what was made over time is kept.
#pragma once

#include <string>

#include "base/result.hpp"
#include "objstore/archive/retention.hpp"

namespace CLI {
class App;
}

namespace tools {

struct KeepOptions {
    std::string last, hourly, daily, weekly, monthly, yearly;
    std::string within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
};

void add_keep_options(CLI::App& verb, KeepOptions& options);
/// Without tags; empty if no option was given. Errors: usage.
[[nodiscard]] base::Result<objstore::archive::RetentionPolicy> policy_of(const KeepOptions& options);

}  // namespace tools
