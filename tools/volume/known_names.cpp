#include "volume/known_names.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/wait_for_lock.hpp"
#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "config/settings.hpp"

namespace tools {

namespace {

constexpr std::string_view kFile = "volumes";
constexpr std::string_view kLock = "volumes.lock";
constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kLimit = 16U << 20U;

base::Result<std::vector<std::string>> read_names(base::Disk& disk) {
    const auto bytes = base::read_file(disk, kFile, kLimit);
    if (!bytes && bytes.error() == base::Errc::not_found) return std::vector<std::string>{};
    if (!bytes) return bytes.error();
    return parse_names(*bytes);
}

void insert(std::vector<std::string>& names, const std::string& name) {
    const auto at = std::ranges::lower_bound(names, name);
    if (at == names.end() || *at != name) names.insert(at, name);
}

}  // namespace

base::Result<void> check_volume_name(std::string_view name) {
    const bool sound = !name.empty() && name.size() <= base::kMaxNameBytes && printable(name) == name &&
                       name.front() != ' ' && name.back() != ' ';
    if (sound) return base::ok();
    return base::Error{Errc::usage, "'" + std::string{name.substr(0, base::kMaxNameBytes)} +
                                        "' cannot name a volume: 1 to 255 bytes of plain text"};
}

std::vector<std::string> parse_names(base::ByteView text) {
    std::vector<std::string> names;
    std::string_view rest = base::as_text(text);
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const std::string name{rest.substr(0, end)};
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (check_volume_name(name)) names.push_back(name);
    }
    std::ranges::sort(names);
    const auto [first, last] = std::ranges::unique(names);
    names.erase(first, last);
    return names;
}

base::Result<std::vector<std::string>> known_names(base::Disk& disk) {
    BASE_TRY(auto names, read_names(disk));
    insert(names, std::string{kDefaultVolume});
    return names;
}

base::Task<base::Result<void>> remember_name(base::NodeEnv env, std::string name) {
    BASE_CO_TRY(const auto seen, read_names(env.disk));
    if (std::ranges::binary_search(seen, name)) co_return base::ok();
    const auto deadline = env.clock.now() + kPatience;
    std::string path{kLock};
    BASE_CO_TRY(const auto lock, co_await base::wait_for_lock(env, std::move(path), deadline));
    BASE_CO_TRY(auto names, read_names(env.disk));
    insert(names, name);
    std::string text;
    for (const auto& each : names) text += each + "\n";
    co_return base::replace_file(env.disk, kFile, base::as_bytes(text));
}

}  // namespace tools
