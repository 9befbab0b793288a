#include "bench/source_tree.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.hpp"

namespace tools::bench {

namespace {

namespace fs = std::filesystem;

constexpr std::array kAreas{"base",  "list",  "text",  "hash",  "heap",  "graph", "field", "codec",
                            "clock", "queue", "cache", "store", "index", "route", "group", "trace"};
constexpr std::array kParts{"table", "walk"};  // a source and a header each, in every area
constexpr std::size_t kSourceBytes = 4800;     // at least; a function more

/// Sources in C: every module has functions that call those of the modules before it, so all must be linked.
class SmallTree {
  public:
    SmallTree(fs::path root, std::uint64_t seed) : root_{std::move(root)}, random_{seed} {}

    base::Result<void> write() {
        for (const auto* area : kAreas) {
            for (const auto* part : kParts) modules_.push_back({area, fmt::format("{}_{}", area, part)});
        }
        for (std::size_t number = 0; number < modules_.size(); ++number) {
            const auto& module = modules_[number];
            BASE_CHECK(file(fmt::format("src/{}/{}.h", module.area, module.name), header(module)));
            BASE_CHECK(file(fmt::format("src/{}/{}.c", module.area, module.name), source(number)));
        }
        BASE_CHECK(file("src/main/main.c", main_source()));
        BASE_CHECK(file("Makefile", makefile()));
        BASE_CHECK(file("README", "A small program in C that computes a number and prints it. Made for measuring.\n"));
        for (const auto* name : {"design", "history", "notes"})
            BASE_CHECK(file(fmt::format("doc/{}.txt", name), prose()));
        return base::ok();
    }

  private:
    struct Module {
        std::string area;
        std::string name;
    };

    /// Below `limit`; the same everywhere, which the standard's distributions are not.
    std::uint64_t draw(std::uint64_t limit) { return random_() % limit; }

    base::Result<void> file(const std::string& name, const std::string& text) const {
        const auto path = root_ / name;
        std::error_code failed;
        fs::create_directories(path.parent_path(), failed);
        std::ofstream out{path, std::ios::binary};
        out << text;
        out.close();
        if (failed || !out) return base::Error{base::Errc::io_failed, "cannot write " + path.string()};
        return base::ok();
    }

    static std::string header(const Module& module) {
        return fmt::format(
            "/* {0}: one of the parts that main() adds up. */\n"
            "#ifndef {0}_included\n#define {0}_included\n\n"
            "/* Mixes `value` with what this part knows; the same for the same value. */\n"
            "unsigned {0}_mix(unsigned value, int depth);\n\n#endif\n",
            module.name);
    }

    std::string source(std::size_t number) {
        const auto& name = modules_[number].name;
        std::string text = fmt::format(
            "/* {}: generated for measuring; see README. */\n#include \"{}.h\"\n\n#include <stddef.h>\n", name, name);
        std::vector<std::string> below;  // parts that this one calls
        for (std::size_t i = 0; i < std::min<std::size_t>(number, 3); ++i) {
            const auto& other = modules_[draw(number)];
            below.push_back(other.name);
            text += fmt::format("#include \"../{}/{}.h\"\n", other.area, other.name);
        }
        text += table(name);
        unsigned functions = 0;
        while (text.size() < kSourceBytes) text += function(name, functions++);
        text += fmt::format("\nunsigned {}_mix(unsigned value, int depth)\n{{\n", name);
        for (unsigned i = 0; i < functions; ++i)
            text += fmt::format("    value ^= step_{}(value + {}u);\n", i, draw(1000));
        if (!below.empty()) {
            text += "    if (depth > 0)\n        switch (value % 3) {\n";
            for (std::size_t i = 0; i < below.size(); ++i)
                text += fmt::format("        {}:\n            return {}_mix(value, depth - 1);\n",
                                    i + 1 < below.size() ? fmt::format("case {}", i) : "default", below[i]);
            text += "        }\n";
        }
        return text + "    return value + (unsigned)depth;\n}\n";
    }

    std::string table(const std::string& name) {
        std::string text = fmt::format("\nstatic const unsigned {}_values[64] = {{\n", name);
        for (int row = 0; row < 8; ++row) {
            text += "   ";
            for (int column = 0; column < 8; ++column) text += fmt::format(" {:#x},", draw(1U << 20U));
            text += "\n";
        }
        return text + "};\n";
    }

    std::string function(const std::string& name, unsigned number) {
        const auto odd = 2 * draw(5000) + 1;
        const auto head = fmt::format("\nstatic unsigned step_{}(unsigned value)\n{{\n", number);
        switch (draw(4)) {
            case 0:
                return head + fmt::format(
                                  "    unsigned sum = value;\n"
                                  "    for (size_t i = 0; i < 64; i++) {{\n"
                                  "        sum = sum * {}u + {}_values[(i + value) % 64];\n"
                                  "        if (sum % {}u == 3)\n            sum ^= (unsigned)i << 5;\n"
                                  "    }}\n    return sum;\n}}\n",
                                  odd, name, draw(20) + 4);
            case 1: {
                auto text = head + fmt::format("    switch (value % {}u) {{\n", 7);
                for (int i = 0; i < 6; ++i)
                    text += fmt::format("    case {}:\n        return value * {}u + {}u;\n", i, odd, draw(9999));
                return text + fmt::format("    default:\n        return {}_values[value % 64];\n    }}\n}}\n", name);
            }
            case 2:
                return head + fmt::format(
                                  "    size_t low = 0, high = 64;\n"
                                  "    while (low < high) {{\n"
                                  "        size_t middle = low + (high - low) / 2;\n"
                                  "        if ({}_values[middle] < value % {}u)\n            low = middle + 1;\n"
                                  "        else\n            high = middle;\n"
                                  "    }}\n    return (unsigned)low * {}u;\n}}\n",
                                  name, draw(1U << 20U) + 1, odd);
            default:
                return head + fmt::format(
                                  "    struct {{ unsigned left, right; }} pair = {{ value, value >> 7 }};\n"
                                  "    while (pair.right > {}u) {{\n"
                                  "        unsigned rest = pair.left % (pair.right + 1);\n"
                                  "        pair.left = pair.right;\n        pair.right = rest / 2;\n"
                                  "    }}\n    return pair.left ^ pair.right * {}u;\n}}\n",
                                  draw(9) + 1, odd);
        }
    }

    std::string main_source() const {
        std::string text = "/* Adds up what all parts make of a few numbers. */\n#include <stdio.h>\n\n";
        for (const auto& module : modules_) text += fmt::format("#include \"../{}/{}.h\"\n", module.area, module.name);
        text += "\nint main(void)\n{\n    unsigned sum = 0;\n    for (unsigned round = 0; round < 100; round++) {\n";
        for (const auto& module : modules_)
            text += fmt::format("        sum = sum * 33u + {}_mix(sum + round, 5);\n", module.name);
        return text + "    }\n    printf(\"%u\\n\", sum);\n    return 0;\n}\n";
    }

    std::string makefile() const {
        std::string text = "CC = cc\nCFLAGS = -O1 -Wall\nOBJECTS = src/main/main.o";
        for (const auto& module : modules_) text += fmt::format(" \\\n\tsrc/{}/{}.o", module.area, module.name);
        return text +
               "\n\nprogram: $(OBJECTS)\n\t$(CC) $(CFLAGS) -o $@ $(OBJECTS)\n\n"
               "%.o: %.c %.h\n\t$(CC) $(CFLAGS) -c -o $@ $<\n\nsrc/main/main.o: src/main/main.c\n"
               "\t$(CC) $(CFLAGS) -c -o $@ $<\n\ncheck: program\n\t./program\n\n.PHONY: check\n";
    }

    std::string prose() {
        constexpr std::array kWords{"the", "part",  "adds",   "a",   "number", "to", "what",
                                    "was", "there", "before", "and", "gives",  "it", "on"};
        std::string text;
        std::size_t column = 0;
        while (text.size() < 6000) {
            const std::string word = kWords.at(draw(kWords.size()));
            column += word.size() + 1;
            text += word + (column > 70 ? "\n" : " ");
            if (column > 70) column = 0;
        }
        return text + "\n";
    }

    fs::path root_;
    std::mt19937_64 random_;
    std::vector<Module> modules_;
};

}  // namespace

base::Result<void> write_small_tree(const std::string& root, std::uint64_t seed) {
    return SmallTree{root, seed}.write();
}

base::Result<SourceTree> read_source_tree(const std::string& root) {
    SourceTree tree{.root = root, .directories = {}, .files = {}, .bytes = 0};
    std::error_code failed;
    for (fs::recursive_directory_iterator at{root, failed}, end; !failed && at != end; at.increment(failed)) {
        const auto name = at->path().lexically_relative(root).string();
        if (at->is_symlink(failed)) continue;
        if (at->is_directory(failed)) {
            tree.directories.push_back(name);
        } else if (at->is_regular_file(failed)) {
            tree.files.push_back(name);
            tree.bytes += at->file_size(failed);
        }
        if (failed) break;
    }
    if (failed) return base::Error{base::from_errno(failed.value()), "cannot read the tree " + root};
    if (tree.files.empty()) return base::Error{base::Errc::bad_argument, root + " has no files"};
    return tree;
}

}  // namespace tools::bench
