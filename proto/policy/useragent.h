/* The family of a browser and of its system, from a user agent's text: one of
 * a fixed list of words and nothing of the text itself, which with its versions
 * and models would name a device (RFC 9110, 10.1.5). */
#ifndef SOTTO_POLICY_USERAGENT_H
#define SOTTO_POLICY_USERAGENT_H

#include "base/buf.h"

#define USERAGENT_TEXT_MAX 24
#define USERAGENT_READ_MAX 512 /* what is behind is not looked at */

/* "firefox/linux", "other/android", "chrome/other", or "other" for both. */
size_t useragent_family(char out[USERAGENT_TEXT_MAX], struct span agent);
/* Whether text is one of the words useragent_family makes. */
bool useragent_fits(struct span text);

#endif
