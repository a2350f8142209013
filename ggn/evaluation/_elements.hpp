// The objects of a JSON array in a stretch of text: one a line, for a parser of lines. No Python.
#pragma once

#include <cstdint>
#include <cstring>

namespace ggn {

// What a stretch of the text of an array holds, from the begin of an element on.
struct Elements {
  std::int64_t cut = -1;   // the last comma between elements
  std::int64_t end = -1;   // the bracket that ends the array
  std::int64_t count = 0;  // commas between elements
  bool regular = true;     // whether it surely is a list of objects; else a JSON parser must tell
};

// Copy the text, with commas between the elements as line feeds, and those that are there as
// spaces. Brackets, strings and what lies between the elements are looked at, nothing else. An
// element must follow if there was a comma before the text.
inline Elements separate(const char* text, std::int64_t length, bool after_comma, char* lines) {
  constexpr int kDeepest = 32;  // deeper than a record needs
  Elements elements;
  int depth = 0;
  bool after_element = false;
  for (std::int64_t i = 0; i < length; ++i) {
    char character = text[i];
    switch (character) {
      case '"': {
        if (depth == 0) elements.regular = false;
        std::int64_t close = i;
        for (std::int64_t slashes = 1; slashes % 2;) {  // an escaped quote does not close
          const void* quote =
              std::memchr(text + close + 1, '"', static_cast<std::size_t>(length - close - 1));
          if (!quote) {
            std::memcpy(lines + i, text + i, static_cast<std::size_t>(length - i));
            return elements;
          }
          close = static_cast<const char*>(quote) - text;
          for (slashes = 0; text[close - 1 - slashes] == '\\';) ++slashes;
        }
        if (std::memchr(text + i, '\n', static_cast<std::size_t>(close - i)))
          elements.regular = false;
        std::memcpy(lines + i, text + i, static_cast<std::size_t>(close - i));
        i = close;
        break;
      }
      case '{':
      case '[':
        if (depth == 0 && (character == '[' || after_element)) elements.regular = false;
        if (++depth > kDeepest) elements.regular = false;
        break;
      case '}':
      case ']':
        if (depth == 0) {
          if (character == '}' || after_comma) elements.regular = false;
          elements.end = i;
          for (std::int64_t rest = i; rest < length; ++rest) {
            if (rest > i && !std::strchr(" \t\r\n", text[rest])) elements.regular = false;
            lines[rest] = ' ';
          }
          return elements;
        }
        if (--depth == 0) {
          after_element = true;
          after_comma = false;
        }
        break;
      case ',':
        if (depth == 0) {
          if (!after_element) elements.regular = false;
          after_element = false;
          after_comma = true;
          elements.cut = i;
          ++elements.count;
          character = '\n';
        }
        break;
      case '\n':
      case '\r':
      case '\t':
      case ' ':
        character = ' ';
        break;
      default:
        if (depth == 0) elements.regular = false;
    }
    lines[i] = character;
  }
  return elements;
}

}  // namespace ggn
