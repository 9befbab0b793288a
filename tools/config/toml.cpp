// The only file that knows TOML.
#include <toml++/toml.h>

#include <sstream>

#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "config/settings.hpp"

namespace tools {

namespace {

using Values = std::map<std::string, std::string, std::less<>>;

std::string where(const std::string& name, const toml::source_region& source) {
    return name + ", line " + std::to_string(source.begin.line);
}

std::optional<std::string> scalar_text(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) return *text;
    if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
    if (const auto boolean = node.value_exact<bool>()) return *boolean ? "true" : "false";
    return std::nullopt;
}

base::Error unknown_key(const std::string& key, const std::string& place) {
    std::vector<std::string> known;
    for (const SettingSpec& spec : setting_specs()) known.emplace_back(spec.key);
    std::string text = "cannot use " + place + ": '" + key + "' is not a setting";
    if (const auto meant = nearest_word(key, known))
        return {Errc::bad_setting, text + "; did you mean '" + *meant + "'?"};
    return {Errc::bad_setting, text + "; 'pelago config show' lists them"};
}

base::Result<void> flatten(const toml::table& table, const std::string& prefix, const std::string& name, Values& out) {
    for (const auto& [key, node] : table) {
        const std::string path = prefix + std::string{key.str()};
        if (const toml::table* inner = node.as_table()) {
            if (!prefix.empty()) return unknown_key(path, where(name, node.source()));
            BASE_CHECK(flatten(*inner, path + ".", name, out));
            continue;
        }
        const auto known = [&] {
            for (const SettingSpec& spec : setting_specs()) {
                if (path == spec.key) return true;
            }
            return false;
        };
        if (!known()) return unknown_key(path, where(name, node.source()));
        const auto text = scalar_text(node);
        if (!text) {
            return base::Error{Errc::bad_setting, "cannot use " + where(name, node.source()) + ": '" + path +
                                                      "' must be a text, a whole number, true or false"};
        }
        out[path] = *text;
    }
    return base::ok();
}

}  // namespace

base::Result<Values> parse_settings(std::string_view text, const std::string& name) {
    Values values;
    try {
        const toml::table table = toml::parse(text, name);
        BASE_CHECK(flatten(table, "", name, values));
    } catch (const toml::parse_error& error) {
        return base::Error{Errc::bad_setting,
                           "cannot read " + where(name, error.source()) + ": " + std::string{error.description()}};
    }
    return values;
}

}  // namespace tools
