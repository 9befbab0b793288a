#include "mount/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

/// What mount(8), systemd and fstab mean for themselves.
bool is_for_others(std::string_view name) {
    static constexpr std::array kNames{"_netdev", "nofail", "defaults", "auto", "noauto", "user", "users", "owner"};
    return std::ranges::find(kNames, name) != kNames.end() || name.starts_with("x-") || name.starts_with("comment=");
}

struct Parser {
    MountOptions out;
    bool suid = false;
    bool dev = false;
    bool exec = true;
    bool allow_other = false;

    static base::Error refuse(std::string_view name, std::string_view value, std::string_view wanted) {
        return usage_error("mount option " + std::string{name} + "= takes " + std::string{wanted} + ", not '" +
                           std::string{value} + "'");
    }

    static base::Result<std::uint32_t> number(std::string_view name, std::string_view value, int radix,
                                              std::string_view wanted) {
        std::uint32_t out = 0;
        const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), out, radix);
        if (failed != std::errc{} || end != value.data() + value.size()) return refuse(name, value, wanted);
        return out;
    }

    base::Result<bool> take_flag(std::string_view name) {
        if (name == "ro" || name == "rw") return out.read_only = name == "ro", true;
        if (name == "suid" || name == "nosuid") return suid = name == "suid", true;
        if (name == "dev" || name == "nodev") return dev = name == "dev", true;
        if (name == "exec" || name == "noexec") return exec = name == "exec", true;
        if (name == "noatime") return out.atime = false, true;
        if (name == "atime" || name == "relatime") return out.atime = true, true;
        if (name == "allow_other") return allow_other = true, true;
        if (name == "nosymfollow") return out.no_symlinks = true, true;
        if (name == "offline") return usage_error("mount option offline is not there yet");
        return is_for_others(name);
    }

    base::Result<bool> take_value(std::string_view name, std::string_view value) {
        const std::string text{value};
        if (name == "uid" || name == "gid") {
            BASE_TRY(const auto id, number(name, value, 10, "a number"));
            return (name == "uid" ? out.uid : out.gid) = id, true;
        }
        if (name == "umask") {
            BASE_TRY(out.umask, number(name, value, 8, "octal digits, like 022"));
            if (out.umask > 0777) return refuse(name, value, "octal digits, like 022");
            return true;
        }
        if (name == "timeout") {
            const auto time = parse_duration(text);
            if (!time) return refuse(name, value, "a time, like 60s, or 0 for no limit");
            return out.timeout = *time, true;
        }
        if (name == "cachesize") {
            out.cache_bytes = parse_size(text);
            if (!out.cache_bytes) return refuse(name, value, "a size, like 64M");
            return true;
        }
        if (name == "at" || name == "subdir") {
            if (text.empty()) return refuse(name, value, name == "at" ? "a time or a snapshot" : "a path");
            return (name == "at" ? out.at : out.subdir) = text, true;
        }
        if (name == "cache") return take_coherence(value);
        if (name == "durability") return take_durability(value);
        return false;
    }

    base::Result<bool> take_coherence(std::string_view value) {
        if (value == "close") return out.coherence = fusefs::Coherence::close, true;
        if (value == "strict") return out.coherence = fusefs::Coherence::strict, true;
        if (value == "lease") return usage_error("mount option cache=lease is not there yet; cache=strict is");
        return refuse("cache", value, "close or strict");
    }

    base::Result<bool> take_durability(std::string_view value) {
        if (value == "fsync") return out.durability = fusefs::Durability::fsync, true;
        if (value == "close") return out.durability = fusefs::Durability::close, true;
        if (value == "write") return out.durability = fusefs::Durability::write, true;
        return refuse("durability", value, "fsync, close or write");
    }

    base::Result<void> take(std::string_view option) {
        if (option.empty()) return base::ok();
        const auto equals = option.find('=');
        const auto name = option.substr(0, equals);
        const bool has_value = equals != std::string_view::npos;
        BASE_TRY(const bool known,
                 has_value && !is_for_others(option) ? take_value(name, option.substr(equals + 1)) : take_flag(option));
        if (!known) return usage_error("unknown mount option '" + std::string{option} + "'");
        return base::ok();
    }

    MountOptions finish() {
        out.read_only = out.read_only || !out.at.empty();
        auto& kernel = out.kernel;
        if (out.read_only) kernel.emplace_back("ro");
        if (suid) kernel.emplace_back("suid");
        if (dev) kernel.emplace_back("dev");
        if (!exec) kernel.emplace_back("noexec");
        if (!out.atime) kernel.emplace_back("noatime");
        if (allow_other) kernel.emplace_back("allow_other");
        return std::move(out);
    }
};

}  // namespace

base::Result<MountOptions> parse_mount_options(const std::vector<std::string>& texts) {
    Parser parser;
    for (const auto& text : texts) {
        std::string_view rest{text};
        while (!rest.empty()) {
            const auto comma = rest.find(',');
            BASE_CHECK(parser.take(rest.substr(0, comma)));
            rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
        }
    }
    return parser.finish();
}

base::Result<std::vector<std::string>> words_of_mount_helper(const std::vector<std::string>& args) {
    std::vector<std::string> plain;
    std::string options;
    const auto add = [&options](const std::string& more) { options += (options.empty() ? "" : ",") + more; };
    for (std::size_t i = 0; i < args.size(); ++i) {
        const auto& word = args[i];
        if (word.size() < 2 || word[0] != '-') {
            plain.push_back(word);
            continue;
        }
        const bool takes_value = word == "-o" || word == "-t" || word == "-N";
        if (takes_value && i + 1 == args.size()) return usage_error("mount.pelago: " + word + " needs a value");
        if (word == "-o") add(args[i + 1]);
        if (takes_value) {
            ++i;
            continue;
        }
        for (const char flag : word.substr(1)) {
            if (flag == 'f') return std::vector<std::string>{};
            if (flag == 'r') add("ro");
            if (flag == 'w') add("rw");
            if (std::string_view{"frwnsv"}.find(flag) == std::string_view::npos)
                return usage_error("mount.pelago: unknown option -" + std::string{flag});
        }
    }
    if (plain.size() != 2) return usage_error("mount.pelago takes a volume and a directory");
    std::vector<std::string> words{"mount", "-d", plain[0], plain[1]};
    if (!options.empty()) words.insert(words.end(), {"-o", options});
    return words;
}

}  // namespace tools
