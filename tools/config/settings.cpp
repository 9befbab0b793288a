#include "config/settings.hpp"

#include <array>
#include <cassert>

#include "base/error.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

using Kind = SettingSpec::Kind;

constexpr std::array kSpecs{
    SettingSpec{"dir", Kind::path, "PELAGO_DIR", "--dir", "DIR", "", "Data directory: owner key, store, caches"},
    SettingSpec{"socket", Kind::path, "PELAGO_SOCKET", "--socket", "FILE", "",
                "Socket of a node that runs on another data directory, and that is to be used"},
    SettingSpec{"key_file", Kind::path, "PELAGO_KEY_FILE", "--key-file", "FILE", "",
                "Owner key; default owner.key in the data directory"},
    SettingSpec{"password_file", Kind::path, "PELAGO_PASSWORD_FILE", "--password-file", "FILE", "",
                "Passphrase of the owner key: first line of this file"},
    SettingSpec{"password_command", Kind::text, "PELAGO_PASSWORD_COMMAND", "--password-command", "COMMAND", "",
                "Passphrase of the owner key: what this command prints"},
    SettingSpec{"volume", Kind::name, "PELAGO_VOLUME", nullptr, "NAME", kDefaultVolume, "Volume of the archive verbs"},
    SettingSpec{"host", Kind::text, "PELAGO_HOST", nullptr, "NAME", "", "Name of this machine in snapshots"},
    SettingSpec{"capacity", Kind::size, "PELAGO_CAPACITY", nullptr, "SIZE", "",
                "Space that the store of this machine may take"},
    SettingSpec{"cache", Kind::size, "PELAGO_CACHE", nullptr, "SIZE", "",
                "Unused space in which a node caches what it read; 0 for no cache"},
    SettingSpec{
        "limit_upload", Kind::rate, "PELAGO_LIMIT_UPLOAD", "--limit-upload", "RATE", "",
        "Store at most RATE KiB (or a size, like 2M) of blocks a second; a node sends each to as many others as "
        "there are copies"},
    SettingSpec{"limit_download", Kind::rate, "PELAGO_LIMIT_DOWNLOAD", "--limit-download", "RATE", "",
                "Read at most RATE KiB (or a size) of blocks a second"},
};

/// As restic's: a bare number counts KiB.
std::optional<std::uint64_t> parse_rate(const std::string& text) {
    const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
    return parse_size(bare && !text.empty() ? text + "KiB" : text);
}

constexpr std::size_t kMaxFileBytes = 1U << 20U;

base::Result<void> check_value(const SettingSpec& spec, const std::string& text, const std::string& source) {
    const auto refuse = [&](std::string_view wanted) {
        return base::Error{Errc::bad_setting, "cannot use " + std::string{spec.key} + " = '" + text + "' from " +
                                                  source + ": it must be " + std::string{wanted}};
    };
    switch (spec.kind) {
        case Kind::text: break;
        case Kind::name:
            if (text.empty()) return refuse("a name");
            break;
        case Kind::path:
            if (text.empty()) return refuse("a path");
            break;
        case Kind::size:
            if (!parse_size(text)) return refuse("a size, like 10G or 500MiB");
            break;
        case Kind::rate:
            if (!parse_rate(text)) return refuse("KiB a second, like 500, or a size a second, like 2M");
            break;
    }
    return base::ok();
}

struct Candidate {
    std::string path;
    bool must_exist = false;
};

/// Weakest first.
std::vector<Candidate> settings_files(const Environment& environment) {
    if (const auto named = environment.variable("PELAGO_CONFIG")) return {{*named, true}};
    std::vector<Candidate> files{{"/etc/pelago/pelago.toml"}};
    const auto home = environment.variable("HOME");
    if (const auto xdg = environment.variable("XDG_CONFIG_HOME")) {
        files.push_back({join_path(*xdg, "pelago/pelago.toml")});
    } else if (home) {
        files.push_back({join_path(*home, ".config/pelago/pelago.toml")});
    }
    return files;
}

std::string default_directory(const Environment& environment) {
    if (const auto xdg = environment.variable("XDG_DATA_HOME")) return join_path(*xdg, "pelago");
    const auto home = environment.variable("HOME");
    if (environment.user_id == 0 || !home) return "/var/lib/pelago";
    return join_path(*home, ".local/share/pelago");
}

}  // namespace

std::span<const SettingSpec> setting_specs() { return kSpecs; }

const Settings::Value& Settings::value(std::string_view key) const {
    const auto found = values_.find(key);
    assert(found != values_.end() && "a setting that setting_specs() does not list");
    return found->second;
}

const std::string& Settings::get(std::string_view key) const { return value(key).text; }

std::optional<std::uint64_t> Settings::size(std::string_view key) const { return parse_size(get(key)); }

std::optional<std::uint64_t> Settings::rate(std::string_view key) const {
    const auto rate = parse_rate(get(key));
    return rate == 0 ? std::nullopt : rate;
}

base::Result<Settings> load_settings(const std::map<std::string, std::string, std::less<>>& flags,
                                     const Environment& environment, std::vector<base::Error>* problems) {
    Settings settings;
    const auto wrong = [problems](base::Error error) -> base::Result<void> {
        if (problems == nullptr) return error;
        problems->push_back(std::move(error));
        return base::ok();
    };
    for (const SettingSpec& spec : kSpecs) settings.values_[spec.key] = {spec.fallback, "default"};
    settings.values_["dir"].text = default_directory(environment);

    for (const Candidate& file : settings_files(environment)) {
        const auto text = read_small_file(file.path, kMaxFileBytes);
        if (!text) {
            BASE_CHECK(wrong({Errc::bad_setting, "cannot read the settings: " + text.error().message()}));
            continue;
        }
        if (!*text && file.must_exist) {
            BASE_CHECK(wrong({Errc::bad_setting, "cannot read " + file.path + " (from PELAGO_CONFIG): no such file"}));
        }
        if (!*text) continue;
        const auto values = parse_settings(base::as_text(**text), file.path);
        if (!values) {
            BASE_CHECK(wrong(values.error()));
            continue;
        }
        for (const auto& [key, value] : *values) settings.values_[key] = {value, file.path};
        settings.files_.push_back(file.path);
    }
    for (const SettingSpec& spec : kSpecs) {
        const auto variable = environment.variables.find(spec.variable);
        // An empty variable says nothing, but for a path or a name: a script whose own variable is unset is to hear of
        // it.
        const bool never_empty = spec.kind == Kind::path || spec.kind == Kind::name;
        if (variable != environment.variables.end() && (!variable->second.empty() || never_empty))
            settings.values_[spec.key] = {variable->second, spec.variable};
        if (const auto flag = flags.find(spec.key); flag != flags.end()) {
            settings.values_[spec.key] = {flag->second, spec.flag != nullptr ? spec.flag : "the command line"};
        }
        const auto& [text, source] = settings.value(spec.key);
        if (text.empty() && (!never_empty || source == "default")) continue;
        if (const auto checked = check_value(spec, text, source); !checked) BASE_CHECK(wrong(checked.error()));
    }
    auto& key_file = settings.values_["key_file"];
    if (key_file.text.empty()) key_file.text = join_path(settings.get("dir"), "owner.key");
    return settings;
}

}  // namespace tools
