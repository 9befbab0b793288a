#include "keys/passphrase.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <functional>
#include <vector>

#include "base/byte_order_mark.hpp"
#include "base/crypto.hpp"
#include "base/error.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/process.hpp"

namespace tools {

namespace {

constexpr std::size_t kLimit = 4096;

base::Result<Passphrase> first_line(std::string text, const std::string& source, Errc wrong = Errc::bad_setting) {
    const auto end = text.find('\n');
    if (end != std::string::npos) text.resize(end);
    if (text.ends_with('\r')) text.pop_back();
    text.erase(0, text.size() - base::without_byte_order_mark(text).size());
    if (text.empty()) return base::Error{wrong, "cannot take a passphrase from " + source + ": it is empty"};
    return Passphrase{std::move(text)};
}

base::Result<Passphrase> from_descriptor(const std::string& number) {
    int fd = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
    if (error != std::errc{} || end != number.data() + number.size() || fd < 0) {
        return base::Error{Errc::bad_setting, "cannot use PELAGO_PASSWORD_FD = '" + number + "': it must be a number"};
    }
    std::string text;
    char byte = 0;
    for (;;) {
        const auto got = ::read(fd, &byte, 1);  // one by one: what follows the line belongs to somebody else
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return base::Error{base::from_errno(errno), "cannot read a passphrase from descriptor " + number};
        if (got == 0 || byte == '\n' || text.size() >= kLimit) break;
        text.push_back(byte);
    }
    return first_line(std::move(text), "descriptor " + number);
}

base::Result<Passphrase> from_command(const std::string& command) {
    auto output = output_of_command(command, kLimit);
    if (!output) return output.error().with("cannot get a passphrase");
    return first_line(std::move(*output), "'" + command + "'");
}

/// 0 the command line, 1 the environment, 2 files.
int level_of(const std::string& source) {
    if (source.starts_with("--")) return 0;
    return source.starts_with("PELAGO_") ? 1 : 2;
}

struct Offer {
    std::string source;
    std::function<base::Result<Passphrase>()> take;
};

}  // namespace

Passphrase::~Passphrase() { base::wipe({reinterpret_cast<std::uint8_t*>(text_.data()), text_.size()}); }
Passphrase::Passphrase(Passphrase&& other) noexcept { text_.swap(other.text_); }
Passphrase& Passphrase::operator=(Passphrase&& other) noexcept {
    text_.swap(other.text_);
    return *this;
}

base::Result<Passphrase> passphrase_from_file(const std::string& path, const std::string& source, Errc wrong) {
    const std::string where = path + " (" + source + ")";
    const auto refuse = [&](const std::string& why) {
        return base::Error{wrong, "cannot take a passphrase from " + where + ": " + why};
    };
    const auto bytes = read_small_file(path, kLimit);
    if (!bytes && bytes.error() == base::Errc::bad_argument) return refuse("it is longer than a passphrase");
    if (!bytes) return refuse(bytes.error().code().message());
    if (!*bytes) return refuse("no such file");
    return first_line(std::string{base::as_text(**bytes)}, where, wrong);
}

base::Result<std::optional<Passphrase>> given_passphrase(const Settings& settings, const Environment& environment) {
    std::array<std::vector<Offer>, 3> levels;
    const auto offer = [&](const std::string& source, std::function<base::Result<Passphrase>()> take) {
        levels.at(static_cast<std::size_t>(level_of(source))).push_back({source, std::move(take)});
    };
    const auto& file = settings.value("password_file");
    const auto& command = settings.value("password_command");
    if (!file.text.empty())
        offer(file.source, [&] { return passphrase_from_file(file.text, file.source, Errc::bad_setting); });
    if (!command.text.empty()) offer(command.source, [&] { return from_command(command.text); });
    const auto variable = environment.variable("PELAGO_PASSWORD");
    const auto descriptor = environment.variable("PELAGO_PASSWORD_FD");
    if (variable) offer("PELAGO_PASSWORD", [&] { return base::Result<Passphrase>{Passphrase{*variable}}; });
    if (descriptor) offer("PELAGO_PASSWORD_FD", [&] { return from_descriptor(*descriptor); });

    for (const auto& offers : levels) {
        if (offers.size() > 1) {
            return base::Error{Errc::bad_setting, "cannot choose between the passphrases of " + offers[0].source +
                                                      " and " + offers[1].source + ": give one of them"};
        }
        if (offers.empty()) continue;
        BASE_TRY(Passphrase passphrase, offers.front().take());
        return std::optional<Passphrase>{std::move(passphrase)};
    }
    return std::optional<Passphrase>{};
}

base::Result<Passphrase> ask_new_passphrase(Io& io) {
    BASE_TRY(std::string first, io.ask_secret("New passphrase: "));
    Passphrase passphrase{std::move(first)};
    BASE_TRY(std::string second, io.ask_secret("The same again: "));
    const Passphrase again{std::move(second)};
    if (passphrase.view() != again.view()) return base::Error{Errc::usage, "cannot use it: the two passphrases differ"};
    if (passphrase.view().empty()) {
        return base::Error{Errc::usage, "cannot use an empty passphrase; --no-password removes the passphrase"};
    }
    return passphrase;
}

}  // namespace tools
