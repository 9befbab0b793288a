// What is in force and from where: flags, then PELAGO_* in the environment, then pelago.toml (the user's, then /etc).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/io.hpp"

namespace tools {

/// One thing that can be set. `key` is its name in pelago.toml ("node.capacity" is `capacity` in the table [node]).
struct SettingSpec {
    enum class Kind { text, name, path, size, rate };

    const char* key;
    Kind kind;
    const char* variable;     ///< "PELAGO_VOLUME"
    const char* flag;         ///< of every verb ("--volume"), or null: then only the verb that needs it has one
    const char* placeholder;  ///< in help: "NAME"
    const char* fallback;     ///< "" = decided when it is needed
    const char* help;
};

[[nodiscard]] std::span<const SettingSpec> setting_specs();

constexpr const char* kDefaultVolume = "archive";

class Settings {
  public:
    struct Value {
        std::string text;
        std::string source;  ///< "--dir", "PELAGO_DIR", a file's path, "default"
    };

    /// Requires: `key` is in setting_specs(). "" if nothing says it.
    [[nodiscard]] const std::string& get(std::string_view key) const;
    [[nodiscard]] const Value& value(std::string_view key) const;
    /// Where the flag of one verb overrides.
    [[nodiscard]] std::string get(std::string_view key, const std::string& flag) const {
        return flag.empty() ? get(key) : flag;
    }
    /// Requires: the setting is of that kind; its text was checked when it was read. Nullopt if nothing says it.
    [[nodiscard]] std::optional<std::uint64_t> size(std::string_view key) const;
    /// Likewise: bytes a second. Nullopt also for 0: no limit.
    [[nodiscard]] std::optional<std::uint64_t> rate(std::string_view key) const;

    /// Files that were read.
    [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

  private:
    friend base::Result<Settings> load_settings(const std::map<std::string, std::string, std::less<>>& flags,
                                                const Environment& environment, std::vector<base::Error>* problems);
    std::map<std::string, Value, std::less<>> values_;
    std::vector<std::string> files_;
};

/// With `problems` what cannot be used is left out and told there, instead of being an error.
/// `flags`: setting -> what the command line said. Errc::bad_setting names the file, the line and the key: unknown keys
/// are refused, so that a mistyped one is not silently the default.
[[nodiscard]] base::Result<Settings> load_settings(const std::map<std::string, std::string, std::less<>>& flags,
                                                   const Environment& environment,
                                                   std::vector<base::Error>* problems = nullptr);

/// The tables of one file, flattened: "node.capacity" -> "10 GiB". A pure function of the text; `name` is for messages.
[[nodiscard]] base::Result<std::map<std::string, std::string, std::less<>>> parse_settings(std::string_view text,
                                                                                           const std::string& name);

}  // namespace tools
