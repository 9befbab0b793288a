// Where a passphrase comes from: never from the command line, where every user of the machine sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "cli/exit_code.hpp"
#include "cli/io.hpp"
#include "config/settings.hpp"

namespace tools {

/// Wiped when it goes.
class Passphrase {
  public:
    explicit Passphrase(std::string text) : text_{std::move(text)} {}
    ~Passphrase();
    Passphrase(Passphrase&& other) noexcept;
    Passphrase& operator=(Passphrase&& other) noexcept;

    [[nodiscard]] std::string_view view() const { return text_; }

  private:
    std::string text_;
};

/// The one that a flag, PELAGO_PASSWORD, _FILE, _COMMAND or _FD, or the settings file gives; nullopt if none does.
/// Flags go before the environment, and that before the file; two at one level are refused. Asks nobody.
[[nodiscard]] base::Result<std::optional<Passphrase>> given_passphrase(const Settings& settings,
                                                                       const Environment& environment);
/// First line of the file. Where that cannot be, the error is `wrong`, with file, `source` (who named it) and reason.
[[nodiscard]] base::Result<Passphrase> passphrase_from_file(const std::string& path, const std::string& source,
                                                            Errc wrong);
/// Typed twice, the same both times. Errc::denied without a terminal.
[[nodiscard]] base::Result<Passphrase> ask_new_passphrase(Io& io);

}  // namespace tools
