#include "archive/keep_options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/verbs.hpp"

namespace tools {

namespace {

using objstore::archive::RetentionPolicy;

base::Result<int> count_of(const std::string& text, const char* option) {
    if (text.empty()) return 0;
    if (text == "unlimited" || text == "-1") return RetentionPolicy::kAll;
    const bool digits = text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) return usage_error(fmt::format("{} takes a number, or 'unlimited', not '{}'", option, text));
    return std::stoi(text);
}

base::Result<objstore::archive::Span> span_of(const std::string& text, const char* option) {
    if (text.empty()) return objstore::archive::Span{};
    auto span = objstore::archive::parse_span(text);
    if (!span) return usage_error(fmt::format("{}: {}", option, span.error().detail()));
    return span;
}

}  // namespace

void add_keep_options(CLI::App& verb, KeepOptions& options) {
    const auto count = [&](const char* name, std::string& value, const char* help) {
        verb.add_option(name, value, help)->type_name("N");
    };
    count("-l,--keep-last", options.last, "Keep the newest N ('unlimited': all)");
    count("-H,--keep-hourly", options.hourly, "Keep the newest of each hour, of the last N hours that have one");
    count("-d,--keep-daily", options.daily, "The same for days");
    count("-w,--keep-weekly", options.weekly, "The same for weeks");
    count("-m,--keep-monthly", options.monthly, "The same for months");
    count("-y,--keep-yearly", options.yearly, "The same for years");
    const auto span = [&](const char* name, std::string& value, const char* help) {
        verb.add_option(name, value, help)->type_name("SPAN");
    };
    span("--keep-within", options.within, "Keep what is less than SPAN (2y5m7d3h) older than the newest");
    span("--keep-within-hourly", options.within_hourly, "Of that, the newest of each hour");
    span("--keep-within-daily", options.within_daily, "Of that, the newest of each day");
    span("--keep-within-weekly", options.within_weekly, "Of that, the newest of each week");
    span("--keep-within-monthly", options.within_monthly, "Of that, the newest of each month");
    span("--keep-within-yearly", options.within_yearly, "Of that, the newest of each year");
}

base::Result<RetentionPolicy> policy_of(const KeepOptions& options) {
    RetentionPolicy policy;
    BASE_TRY(policy.last, count_of(options.last, "--keep-last"));
    BASE_TRY(policy.hourly, count_of(options.hourly, "--keep-hourly"));
    BASE_TRY(policy.daily, count_of(options.daily, "--keep-daily"));
    BASE_TRY(policy.weekly, count_of(options.weekly, "--keep-weekly"));
    BASE_TRY(policy.monthly, count_of(options.monthly, "--keep-monthly"));
    BASE_TRY(policy.yearly, count_of(options.yearly, "--keep-yearly"));
    BASE_TRY(policy.within, span_of(options.within, "--keep-within"));
    BASE_TRY(policy.within_hourly, span_of(options.within_hourly, "--keep-within-hourly"));
    BASE_TRY(policy.within_daily, span_of(options.within_daily, "--keep-within-daily"));
    BASE_TRY(policy.within_weekly, span_of(options.within_weekly, "--keep-within-weekly"));
    BASE_TRY(policy.within_monthly, span_of(options.within_monthly, "--keep-within-monthly"));
    BASE_TRY(policy.within_yearly, span_of(options.within_yearly, "--keep-within-yearly"));
    return policy;
}

}  // namespace tools
