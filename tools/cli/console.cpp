#include "cli/console.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/base64.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

using Json = nlohmann::json;

bool is_foreign(const Json& value) { return value.is_string() && !is_utf8(value.get_ref<const std::string&>()); }

Json bytes_of(const Json& value) {
    if (value.is_string()) return to_base64(base::as_bytes(value.get_ref<const std::string&>()));
    auto list = Json::array();
    for (const auto& item : value) list.push_back(item.is_string() ? bytes_of(item) : Json{});
    return list;
}

/// Adds the bytes of what is not UTF-8, wherever it is.
void keep_bytes(Json& document) {
    if (!document.is_structured()) return;
    auto added = Json::object();
    for (auto& [key, value] : document.items()) {
        if (document.is_object() && (is_foreign(value) || (value.is_array() && std::ranges::any_of(value, is_foreign))))
            added[key + "_base64"] = bytes_of(value);
        keep_bytes(value);
    }
    if (!added.empty()) document.update(added);
}

std::string dump(Json document) {
    keep_bytes(document);
    return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Console::~Console() { clear_status(); }

void Console::print(std::string_view text) {
    const std::lock_guard lock{mutex_};
    clear_status();
    has_printed_ = true;
    io_.out(text);
}

void Console::print_json(const nlohmann::json& document) {
    const std::lock_guard lock{mutex_};
    has_printed_ = true;
    io_.out(dump(document));
}

void Console::note(std::string_view text) {
    if (output_.quiet || output_.json) return;
    err_line(text);
}

void Console::warn(std::string_view text) {
    if (output_.json) {
        const nlohmann::json object{{"message_type", "warning"}, {"message", text}};
        const std::lock_guard lock{mutex_};
        io_.err(dump(object));
        return;
    }
    err_line(marked("pelago: warning:", "33") + " " + printable(text));
}

ExitCode Console::fail(const base::Error& error) {
    const ExitCode exit = exit_code(error.code());
    const std::string text = describe(error);
    if (output_.json) {
        const nlohmann::json object{
            {"message_type", "exit_error"}, {"code", static_cast<int>(exit)}, {"message", text}};
        const std::lock_guard lock{mutex_};
        io_.err(dump(object));
    } else {
        err_line(marked("pelago:", "31") + " " + text);
    }
    return exit;
}

void Console::status(std::string_view line) {
    if (!draws()) return;
    const std::lock_guard lock{mutex_};
    if (line.empty()) {
        clear_status();
        return;
    }
    io_.err("\r" + std::string{line} + "\x1b[K");
    status_shown_ = true;
}

/// In a colour of the terminal's.
std::string Console::marked(std::string_view text, std::string_view color) const {
    if (!output_.color) return std::string{text};
    return "\x1b[" + std::string{color} + "m" + std::string{text} + "\x1b[0m";
}

void Console::err_line(std::string_view text) {
    const std::lock_guard lock{mutex_};
    clear_status();
    io_.err(std::string{text} + "\n");
}

void Console::clear_status() {
    if (!status_shown_) return;
    io_.err("\r\x1b[K");
    status_shown_ = false;
}

void ConsoleLog::write(Level level, const char* channel, std::string text) {
    if (!enabled(level)) return;
    if (level == Level::warning || level == Level::error) {
        const std::lock_guard lock{mutex_};
        const unsigned before = warned_[channel]++;
        if (before < kWarningsEach || console_.output().verbose > 0) console_.warn(text);
        if (before == kWarningsEach) console_.note("more of these with --verbose");
    } else {
        console_.note(std::string{channel} + ": " + printable(text));
    }
}

bool ConsoleLog::enabled(Level level) const noexcept {
    switch (level) {
        case Level::debug: return console_.output().verbose >= 2;
        case Level::info: return console_.output().verbose >= 1;
        case Level::warning: return true;
        case Level::error: return true;
    }
    return true;
}

std::string describe(const base::Error& error) {
    // What the command line, a setting or an argument got wrong is said whole by the detail.
    const bool said = error == std::errc::address_in_use || error == Errc::usage || error == Errc::bad_setting ||
                      error == base::Errc::bad_argument || error.detail().starts_with(error.code().message());
    std::string text = printable(said && !error.detail().empty() ? error.detail() : error.message());
    const std::string_view what_to_do = advice(error.code());
    if (!what_to_do.empty()) text += "; " + std::string{what_to_do};
    return text;
}

}  // namespace tools
